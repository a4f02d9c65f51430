# What compile() and pack() take, what they hand to the tools, and what they say
# when something is wrong.
#
# RUN: %python %s %t

import json
import os
import re
import struct
import subprocess
import sys
import types
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, _safetensors, _tools

OUT = layers.folder()
CONFIG = {"model_type": "mixtral", "hidden_size": 32, "intermediate_size": 16, "num_local_experts": 8,
          "num_experts_per_tok": 2, "num_hidden_layers": 3}


def write(path, tensors):
    """Writes a .safetensors file of f32."""
    _safetensors.write(path, [(name, "F32", value.shape, memoryview(np.ascontiguousarray(value)).cast("B"))
                              for name, value in tensors.items()], {})
    return path


class Compile(unittest.TestCase):
    def setUp(self):
        os.environ["MOE_MLIR_CACHE"] = str(OUT / "cache")

    def refused(self, pattern, *arguments, **named):
        with self.assertRaisesRegex(Error, pattern) as caught:
            moe_mlir.compile(*arguments, **named)
        self.assertNotIn("\n", str(caught.exception))

    def test_sources(self):
        """A dict, an object of transformers, a file and a folder are the same model."""
        path = OUT / "model" / "config.json"
        path.parent.mkdir()
        path.write_text(json.dumps(CONFIG))
        config = types.SimpleNamespace(model_type="mixtral", to_dict=lambda: {k: v for k, v in CONFIG.items()
                                                                             if k != "model_type"})
        keys = {moe_mlir.compile(source, layers=1).key for source in (CONFIG, config, path, str(path))}
        self.assertEqual(len(keys), 1)
        artifact = moe_mlir.compile(CONFIG)
        self.assertEqual(artifact.functions, ("layer_0", "layer_1", "layer_2"))
        self.assertEqual(artifact.layers, (0, 1, 2))
        self.assertEqual(moe_mlir.compile(CONFIG, layers="1-2").layers, (1, 2))
        self.assertEqual(moe_mlir.compile(CONFIG, layers=[1, 2]).layers, (1, 2))
        self.assertEqual(moe_mlir.compile(CONFIG, layers=None).layers, (0,))
        self.assertEqual(artifact.load(2).name, "layer_2")
        text = artifact.path.with_suffix(".mlir").read_text()
        self.assertEqual(moe_mlir.compile(text).key, artifact.key)
        self.assertEqual(moe_mlir.compile(artifact.path.with_suffix(".mlir")).key, artifact.key)
        # Paths of other kinds, and artifacts as paths.
        self.assertEqual(moe_mlir.load(artifact, function=0).name, "layer_0")

    def test_options(self):
        record = moe_mlir.compile(CONFIG, layers=0, record_routing=True).load()
        self.assertEqual([r.name for r in record.results],
                         ["y", "routing.indices", "routing.weights", "routing.counts"])
        bf16 = moe_mlir.compile(CONFIG, layers=0, weights_type="bf16").load()
        self.assertEqual({s.dtype for s in bf16.model_tensors if s.name.startswith("experts.")}, {"bf16"})
        few = moe_mlir.compile(CONFIG, layers=0, experts=4).load()
        self.assertEqual(few.model_tensors[0].shape[0], 4)
        several = moe_mlir.compile(CONFIG, layers=0, targets=["x86-64-v3", "x86-64-v4"]
                                   if os.uname().machine == "x86_64" else ["aarch64"])
        self.assertIn(several.manifest.targets[0]["name"], ("x86-64-v3", "aarch64"))

    def test_experts_alone(self):
        if not _tools.has_option("moe-import", "part"):
            self.skipTest("this moe-import has no --part")
        layer = moe_mlir.compile(CONFIG, layers=0, part="experts").load()
        self.assertEqual([str(a) for a in layer.arguments if not a.packed],
                         ["x: f32[T, 32]", "routing.indices: i32[T, 2]", "routing.weights: f32[T, 2]"])
        tensors = layers.weights()
        layer.weights = layer.pack(tensors)
        x, _, routing = layers.inputs(9)
        self.assertLess(layers.difference(layer(x, routing=routing), layers.expected(x, routing, tensors)), 1e-6)

    def test_wrong(self):
        for source, pattern in (
                ("no/such/config.json", "no such file or folder; expected config.json"),
                ("nothing", "no such file or folder"),
                ("", "no such file or folder"),
                (3, "config is a int; expected a path, IR text"),
                (OUT, "no config.json in this folder"),
                ({"model_type": "no"}, "^moe-import: error: config.json: .*'no'"),
                ({"model_type": {1, 2}}, "moe-import: error: config.json"),
                ("module {\n  func.func @f(\n", "^moe-compile: error: |error: "),
                ("a\nb\n", "the text: neither IR"),
                (OUT / "text.mlir", "neither IR")):
            (OUT / "text.mlir").write_text("hello\nworld\n")
            self.refused(pattern, source)
        self.refused("there is no layer 7", CONFIG, layers=7)
        self.refused("layers=.*numbers without a gap", CONFIG, layers=[0, 2])
        self.refused("layers=.*numbers without a gap", CONFIG, layers=[])
        self.refused("part='all': expected", CONFIG, part="all")
        self.refused("weights-type|no_such_type", CONFIG, weights_type="no_such_type")
        self.refused("activations='int3': expected one of f32, bf16, int8", CONFIG, activations="int3")
        for experts in (0, -1, "8", True, 1.5):
            self.refused("experts=.*: expected a number of at least 1", CONFIG, experts=experts)
        for targets in (3, ["native", 3], {"native"}):
            self.refused("targets=.*: expected a name of moe-compile --list-targets", CONFIG, targets=targets)
        for options in ("--no-fuse", None, [1]):
            self.refused("options=.*: expected a list of options", CONFIG, options=options)
        self.refused("^moe-compile: error: .*no-such-chip", CONFIG, layers=0, targets="no-such-chip")
        self.refused("is IR, which layers=1 does not change", "module {\n}\n", layers=1)

    def test_places(self):
        """Messages of the compiler name what was given, and no file of the cache."""
        bad = (layers.INPUTS / "scale.mlir").read_text().replace("arith.mulf", "arith.mulx")
        line = next(n for n, text in enumerate(bad.splitlines(), 1) if "arith.mulx" in text)
        file = OUT / "bad.mlir"
        file.write_text(bad)
        for cache in (True, False):
            self.refused(rf"^the IR:{line}:10: error: custom op 'arith.mulx' is unknown %p = .*f32$", bad, cache=cache)
            self.refused(rf"^{file}:{line}:10: error: custom op 'arith.mulx'", file, cache=cache)
        # A compiler that fails at a line of what moe-import wrote, and at none.
        folder, _ = layers.slow_tools(OUT, 0)
        (folder / "moe-compile").write_text('#!/bin/sh\necho "$1:7:3: error: no" >&2\nexit 1\n')
        config = OUT / "places" / "config.json"
        config.parent.mkdir()
        config.write_text(json.dumps(CONFIG))
        named = {**CONFIG, "_name_or_path": "someone/model"}
        for source, said in ((config, re.escape(str(config))), (named, "someone/model"), (CONFIG, "the configuration")):
            with self.assertRaisesRegex(Error, rf"^{said} \(line 7 of its IR\): error: no$"):
                self.with_bin(folder, lambda: moe_mlir.compile(source))
        (folder / "moe-compile").write_text('#!/bin/sh\necho "$1:0:0: error: no" >&2\nexit 1\n')
        with self.assertRaisesRegex(Error, r"^someone/model: error: no$"):
            self.with_bin(folder, lambda: moe_mlir.compile(named))

    def test_no_tools(self):
        before = dict(os.environ)
        try:
            os.environ["MOE_MLIR_BIN"] = str(OUT / "nothing")
            self.refused("moe-import: not found in MOE_MLIR_BIN .*; build the project", CONFIG)
            del os.environ["MOE_MLIR_BIN"]
            os.environ["PATH"] = str(OUT)
            self.refused(r"not found in MOE_MLIR_BIN \(not set\), PATH and .*bin; build", CONFIG)
        finally:
            os.environ.clear()
            os.environ.update(before)
        os.environ["PATH"] = before["MOE_MLIR_BIN"] + os.pathsep + before["PATH"]
        del os.environ["MOE_MLIR_BIN"]
        try:
            moe_mlir.compile(CONFIG, layers=0)
        finally:
            os.environ.update(before)

    def test_tool_that_dies(self):
        folder = OUT / "dies"
        folder.mkdir()
        (folder / "moe-compile").write_text("#!/bin/sh\nkill -9 $$\n")
        (folder / "moe-compile").chmod(0o755)
        with self.assertRaisesRegex(Error, "moe-compile: ended by SIGKILL"):
            self.with_bin(folder, lambda: moe_mlir.compile("module {\n}\n"))
        (folder / "moe-compile").write_text("#!/bin/sh\necho one >&2; echo two >&2; exit 3\n")
        with self.assertRaisesRegex(Error, "moe-compile: failed with status 3: one two"):
            self.with_bin(folder, lambda: moe_mlir.compile("module {\n}\n"))

    def with_bin(self, folder, body):
        before = os.environ["MOE_MLIR_BIN"]
        os.environ["MOE_MLIR_BIN"] = str(folder)
        try:
            return body()
        finally:
            os.environ["MOE_MLIR_BIN"] = before

    # -- Packing ---------------------------------------------------------------

    def tensors(self, layer, seed=5):
        rng = np.random.default_rng(seed)
        return {a.name: rng.standard_normal(a.shape).astype(np.float32) for a in layer.model_tensors}

    def test_pack(self):
        artifact = moe_mlir.compile(CONFIG)
        tensors = self.tensors(artifact.load(0))
        source = write(OUT / "model.safetensors", tensors)
        packed = moe_mlir.pack(artifact, source)
        self.assertEqual(packed.parents[2], OUT / "cache")
        self.assertEqual(moe_mlir.pack(artifact.path, str(source)), packed)
        x = layers.inputs(5)[0]
        own = artifact.load(1)
        own.weights = own.pack(tensors)
        y = own(x)
        self.assertTrue((artifact.load(1, weights=packed)(x) == y).all())
        # In a file of its own, of one layer; other layers are not in there.
        one = moe_mlir.pack(artifact, source, layers=1, out=OUT / "one.safetensors")
        self.assertTrue((artifact.load(1, weights=one)(x) == y).all())
        with self.assertRaisesRegex(Error, "for function 'layer_0'"):
            artifact.load(0, weights=one)
        # Another target has the same weights: nothing is packed again.
        other = moe_mlir.compile(CONFIG, targets=None)
        self.assertNotEqual(other.key, artifact.key)
        if self.same_layout(other, artifact):
            self.assertEqual(moe_mlir.pack(other, source), packed)
        # Other contents of the same name and size are other weights.
        stamp = os.stat(source)
        write(source, self.tensors(own, seed=6))
        os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
        again = moe_mlir.pack(artifact, source)
        self.assertNotEqual(again, packed)
        self.assertFalse((artifact.load(1, weights=again)(x) == y).all())
        os.truncate(again, 5000)
        self.assertEqual(moe_mlir.pack(artifact, source), again)
        artifact.load(1, weights=again)

    def same_layout(self, a, b):
        return [f.packing for f in a.manifest.functions] == [f.packing for f in b.manifest.functions]

    def test_pack_wrong(self):
        artifact = moe_mlir.compile(CONFIG, layers=0)
        good = self.tensors(artifact.load())
        source = write(OUT / "few.safetensors", {n: v for n, v in good.items() if "down" not in n})
        (OUT / "dir").mkdir()
        cut = OUT / "cut.safetensors"
        cut.write_bytes(source.read_bytes()[:3000])
        for arguments, named, pattern in (
                ((artifact, OUT / "no.safetensors"), {}, "no such file or folder; expected a checkpoint's folder"),
                ((artifact, OUT / "dir"), {}, "no .safetensors or .gguf|--checkpoint|config.json|moe-pack: error"),
                ((artifact, source), {}, "moe-pack: error: .*layer_0"),
                ((artifact, cut), {}, "cut"),
                ((artifact, source), {"layers": 5}, "no function 5"),
                ((artifact, source), {"layers": []}, "layers: expected"),
                ((artifact, source), {"out": OUT / "x.bin"}, "expected the name of a .safetensors file"),
                ((artifact, source), {"out": OUT / "no" / "x.safetensors"}, "cannot write"),
                ((artifact, None), {}, "checkpoint: is a NoneType; expected the path"),
                ((None, source), {}, "artifact: is a NoneType; expected what compile"),
                ((OUT / "dir", source), {}, "dir: not an artifact by its name"),
                ((artifact, source), {"out": 3}, "out: is a int; expected the path"),
                ((OUT / "no.so", source), {}, "no.json: cannot read")):
            with self.assertRaisesRegex(Error, pattern) as caught:
                moe_mlir.pack(*arguments, **named)
            self.assertNotIn("\n", str(caught.exception))

    def test_checkpoint(self):
        """A checkpoint's folder is compiled, packed and called; its names are upstream's."""
        if not _tools.has_option("moe-pack", "checkpoint"):
            self.skipTest("this moe-pack has no --checkpoint")
        folder = OUT / "checkpoint"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 1, "dtype": "float32"}))
        tensors = layers.weights()
        rng = np.random.default_rng(9)
        router = rng.standard_normal((8, 32)).astype(np.float32)
        base = "model.layers.0.block_sparse_moe."
        named = {base + "gate.weight": router}
        for e in range(8):
            for theirs, ours in (("w1", "gate_proj"), ("w3", "up_proj"), ("w2", "down_proj")):
                named[f"{base}experts.{e}.{theirs}.weight"] = tensors["experts." + ours][e]
        write(folder / "model.safetensors", named)
        artifact = moe_mlir.compile(folder)
        layer = artifact.load(weights=moe_mlir.pack(artifact, folder))
        x = layers.inputs(9)[0]
        scores = x.astype(np.float64) @ router.T
        indices = np.argsort(-scores, axis=1)[:, :2].astype(np.int32)
        chosen = np.exp(np.take_along_axis(scores, indices, 1))
        routing = moe_mlir.Routing(indices, chosen / chosen.sum(1, keepdims=True))
        self.assertLess(layers.difference(layer(x), layers.expected(x, routing, tensors)), 2e-6)


if __name__ == "__main__":
    unittest.main()
