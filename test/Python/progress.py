# On a terminal, compiling and packing say how far they are, without a line left
# behind; elsewhere they say nothing.
#
# RUN: %python %s %t

import os
import pty
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir

OUT = layers.folder()
IR = (layers.INPUTS / "experts.mlir").read_text()
# As without tqdm, wherever this runs.
BEGIN = "import sys; sys.modules['tqdm'] = None; import moe_mlir, numpy\n"


def run(code, folder, *arguments):
    """What a program writes to the terminal that its standard error is."""
    terminal, end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", BEGIN + code, *map(str, arguments)], stderr=end,
                               env={**os.environ, "MOE_MLIR_BIN": str(folder), "MOE_MLIR_CACHE": str(OUT / "cache")})
    os.close(end)
    text = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            part = b""
        if not part:
            break
        text += part
    os.close(terminal)
    assert process.wait() == 0, text
    return text.decode()


class Progress(unittest.TestCase):
    def test_compile(self):
        folder, _ = layers.slow_tools(OUT, 3)
        text = run("moe_mlir.compile(sys.argv[1])", folder, IR)
        self.assertRegex(text, r"^\r\x1b\[Kcompiling: \d s")
        self.assertTrue(text.endswith("\r\x1b[K"), repr(text))
        self.assertNotIn("\n", text)
        self.assertEqual(run("moe_mlir.compile(sys.argv[1], progress=False, cache=False)", folder, IR), "")
        # From the cache it takes no time.
        self.assertEqual(run("moe_mlir.compile(sys.argv[1])", folder, IR), "")

    def test_pack(self):
        layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        from moe_mlir import _safetensors
        _safetensors.write(OUT / "w.safetensors", [(n, "F32", v.shape, memoryview(v).cast("B"))
                                                   for n, v in layers.weights().items()], {})
        folder, _ = layers.slow_tools(OUT, 3, "moe-pack")
        text = run("moe_mlir.pack(sys.argv[1], sys.argv[2])", folder, OUT / "m.so", OUT / "w.safetensors")
        self.assertRegex(text, r"^\r\x1b\[Kpacking: 0 % of 0.0 GB, 0 MB/s")
        self.assertTrue(text.endswith("\r\x1b[K"), repr(text))


if __name__ == "__main__":
    unittest.main()
