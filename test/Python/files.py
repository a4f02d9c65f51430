# Files that are not what they should be: packed weights of another artifact or
# layout, cut or edited files, libraries and manifests of different runs.
#
# RUN: %python %s %t

import json
import os
import shutil
import struct
import subprocess
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, Weights

OUT = layers.folder()


def edit(source, target, change):
    """Copies a .safetensors file with another header: `change` gets it and may return the data, too."""
    raw = source.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    data = change(header, data) or data
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    target.write_bytes(struct.pack("<Q", len(text)) + text + b"" + data)
    return target


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        layer = moe_mlir.load(cls.path, function="layer")
        cls.tensors = layers.weights()
        cls.packed = layer.pack(cls.tensors).save(OUT / "packed.safetensors")
        cls.x, cls.scores, _ = layers.inputs(5)
        layer.weights = cls.packed
        cls.y = layer(cls.x, scores=cls.scores)

    def refused(self, pattern, path=None, weights=None, function="layer"):
        with self.assertRaisesRegex(Error, pattern) as caught:
            moe_mlir.load(path or self.path, function=function, weights=weights)
        self.assertNotIn("\n", str(caught.exception))

    def test_same_file_as_moe_pack(self):
        """The bytes in memory are those of the tool, and so is the layout of the file."""
        plain = {name: memoryview(v).cast("B") for name, v in self.tensors.items()}
        from moe_mlir import _safetensors
        _safetensors.write(OUT / "plain.safetensors",
                           [(n, "F32", self.tensors[n].shape, v) for n, v in plain.items()], {})
        layers.tool("moe-pack", OUT / "m.json", f"--inputs={OUT}/plain.safetensors", "-o", OUT / "tool.safetensors",
                    "--entry=layer")
        tool, own = Weights.open(OUT / "tool.safetensors"), Weights.open(self.packed)
        for name in ("experts.gate_up", "experts.down_proj"):
            a, b = tool._blocks["layer/" + name], own._blocks[name]
            self.assertEqual((a.layout, a.shape), (b.layout, b.shape))
            self.assertTrue((tool._view(a) == own._view(b)).all())
        # The tools read what save() wrote.
        x = OUT / "x.safetensors"
        _safetensors.write(x, [("x", "F32", self.x.shape, memoryview(self.x).cast("B")),
                               ("scores", "F32", self.scores.shape, memoryview(self.scores).cast("B"))], {})
        layers.tool("moe-run", self.path, "--entry=layer", f"--inputs={x}", f"--weights={self.packed}", "-o",
                    OUT / "y.npy")
        self.assertTrue((np.load(OUT / "y.npy") == self.y).all())

    def test_mapped(self):
        """A file is mapped, read-only, and stays as long as a layer has it."""
        copy = OUT / "copy.safetensors"
        shutil.copy(self.packed, copy)
        layer = moe_mlir.load(self.path, function="layer", weights=copy)
        with open("/proc/self/maps") as maps:
            lines = [line for line in maps if line.rstrip().endswith(str(copy))]
        self.assertTrue(lines)
        self.assertTrue(all(line.split()[1].startswith("r--") for line in lines), lines)
        copy.unlink()
        self.assertTrue((layer(self.x, scores=self.scores) == self.y).all())

    def test_weights(self):
        self.refused("no.safetensors: cannot read: No such file", weights=OUT / "no.safetensors")
        self.refused("cannot read", weights=OUT)
        new = OUT / "new.safetensors"
        new.write_bytes(b"")
        self.refused("cannot read|not a .safetensors file", weights=new)
        new.write_bytes(b"\xff" * 100)
        self.refused("not a .safetensors file, or cut", weights=new)
        raw = self.packed.read_bytes()
        for size in (7, 100, 5000, len(raw) - 1):
            new.write_bytes(raw[:size])
            self.refused("cut|not a .safetensors file", weights=new)

        def drop(header, data):
            del header["experts.down_proj"]

        def other_format(header, data):
            header["__metadata__"]["format"] = "moe-packed-1"

        def no_format(header, data):
            del header["__metadata__"]

        def other_layout(header, data):
            header["__metadata__"]["layout.experts.gate_up"] = "0" * 32

        def no_layout(header, data):
            del header["__metadata__"]["layout.experts.gate_up"]

        def other_type(header, data):
            header["experts.gate_up"].update(dtype="I8")

        def too_long(header, data):
            header["experts.gate_up"]["data_offsets"] = [0, 10 ** 9]

        def negative(header, data):
            header["experts.gate_up"]["data_offsets"] = [-64, 32704]

        def shifted(header, data):
            for value in header.values():
                if "data_offsets" in value:
                    value["data_offsets"] = [n + 8 for n in value["data_offsets"]]
            return b"\0" * 8 + data

        for change, pattern in (
                (drop, "no 'experts.down_proj' for function 'layer'"),
                (other_format, "packed weights of another version.*pack them again"),
                (no_format, "not packed weights"),
                (other_layout, "'experts.gate_up' is packed in another layout.*pack again"),
                (no_layout, "'experts.gate_up' is packed in another layout"),
                (other_type, "'experts.gate_up' has 32768 bytes"),
                (too_long, "expected 32768"),
                (negative, "not two numbers"),
                (shifted, "is not at a multiple of 64 bytes")):
            self.refused(pattern, weights=edit(self.packed, new, change))
        new.write_bytes(raw)
        moe_mlir.load(self.path, function="layer", weights=new)

    def test_weights_of_another_artifact(self):
        text = (layers.INPUTS / "experts.mlir").read_text()
        (OUT / "more.mlir").write_text(text.replace("8x16x32", "8x24x32").replace("16x32", "24x32")
                                       .replace("8x32x16", "8x32x24").replace("32x16", "32x24"))
        more = layers.build(OUT / "more.mlir", OUT / "more")
        self.refused("was packed for another artifact", path=more, weights=self.packed)

    def test_library(self):
        for suffix in (".so", ".json"):
            shutil.copy(self.path.with_suffix(suffix), OUT / f"n{suffix}")
        raw = self.path.read_bytes()
        # A cut library would end the process in the dynamic linker.
        for size in (0, 10, 64, 500, len(raw) // 2, len(raw) - 1):
            (OUT / "n.so").write_bytes(raw[:size])
            self.refused("n.so: (not a shared library|the file is cut)", path=OUT / "n.so")
        (OUT / "n.so").write_bytes(raw)
        text = self.path.with_suffix(".json").read_text()
        for change, pattern in (
                (text[:len(text) // 2], "not a manifest"),
                ("", "not a manifest"),
                ("[" * 100000, "not a manifest"),
                ("[]", "expected an object"),
                (text.replace('"T",\n            32', '"T",\n            16', 1), "its id is not that of its contents"),
                (text.replace('"version": 2', '"version": 3'), "version: 3 is not supported"),
                (text.replace('"abi": 2', '"abi": 1'), "abi: the code is for version 1")):
            (OUT / "n.json").write_text(change)
            self.refused(pattern, path=OUT / "n.so")
        (OUT / "n.json").unlink()
        self.refused("n.json: no such file", path=OUT / "n.so")
        # Code of one run, and the manifest of another.
        layers.build(layers.INPUTS / "experts.mlir", OUT / "other", "--no-fuse")
        shutil.copy(OUT / "other.json", OUT / "n.json")
        self.refused("from different runs of moe-compile", path=OUT / "n.so")

    def test_manifest_id(self):
        """A manifest with all kinds of JSON has the id that the compiler gave it."""
        source = OUT / "q.mlir"
        config = OUT / "q.json"
        config.write_text(json.dumps({"model_type": "mixtral", "hidden_size": 64, "intermediate_size": 64,
                                      "num_local_experts": 4, "num_experts_per_tok": 2, "num_hidden_layers": 2}))
        layers.tool("moe-import", config, "--weights-type=q4_0", "--layers=all", "-o", source)
        layer = moe_mlir.load(layers.build(source, OUT / "q"), function=1)
        self.assertEqual(layer.name, "layer_1")

    def test_other_targets(self):
        layers.tool("moe-compile", layers.INPUTS / "experts.mlir", "--target=aarch64", "--emit=manifest", "-o",
                    OUT / "arm")
        shutil.copy(self.path, OUT / "arm.so")
        if os.uname().machine == "x86_64":
            self.refused("compiled for aarch64, and this machine is x86_64", path=OUT / "arm.so")
        # MOE_VARIANT names a target that is not there: the runtime's own sentence.
        code = ("import sys, numpy as np, moe_mlir\n"
                "layer = moe_mlir.load(sys.argv[1], function='layer', weights=sys.argv[2])\n"
                "assert layer.variant is None and layer.workspace_bytes(5) == 0\n"
                "try: layer(np.zeros((5, 32), np.float32), scores=np.zeros((5, 8), np.float32))\n"
                "except moe_mlir.Error as error: print(error.status, error)\n")
        result = subprocess.run([sys.executable, "-c", code, self.path, self.packed], capture_output=True, text=True,
                                env={**os.environ, "MOE_VARIANT": "nothing"})
        self.assertRegex(result.stdout, r"^5 .*nothing", result.stderr)
        self.assertEqual(result.stderr, "")

    def test_save(self):
        weights = Weights.open(self.packed)
        again = weights.save(OUT / "again.safetensors")
        self.assertEqual(again.read_bytes(), self.packed.read_bytes())
        with self.assertRaisesRegex(Error, "cannot write: No such file"):
            weights.save(OUT / "no" / "packed.safetensors")
        self.assertFalse(list(OUT.glob("*.moe-partial")))


if __name__ == "__main__":
    unittest.main()
