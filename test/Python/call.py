# Results of layers that are called from Python, against the formula in float64.
#
# RUN: %python %s %t

import ctypes
import gc
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Routing

OUT = layers.folder()


class Lent:
    """An array that is known through DLPack alone."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Call(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        cls.tensors = layers.weights()
        cls.layer = moe_mlir.load(cls.path, function="layer")
        cls.layer.weights = cls.layer.pack(cls.tensors)
        cls.experts = moe_mlir.load(cls.path, function="experts", weights=cls.layer.weights)

    def test_description(self):
        self.assertEqual([str(a) for a in self.layer.arguments if not a.packed],
                         ["x: f32[T, 32]", "scores: f32[T, 8]"])
        self.assertEqual([str(a) for a in self.layer.results], ["y: f32[T, 32]"])
        self.assertEqual([(a.name, a.shape) for a in self.layer.model_tensors],
                         [("experts.gate_proj", (8, 16, 32)), ("experts.up_proj", (8, 16, 32)),
                          ("experts.down_proj", (8, 32, 16))])
        self.assertEqual(self.layer.targets, (self.layer.variant,))
        self.assertGreater(self.layer.workspace_bytes(64), self.layer.workspace_bytes(1))
        self.assertEqual(self.layer.workspace_bytes(T=7), self.layer.workspace_bytes(7))
        self.assertRaisesRegex(moe_mlir.Error, "T is -1, expected", self.layer.workspace_bytes, -1)
        self.assertRaisesRegex(moe_mlir.Error, "expected an integer", self.layer.workspace_bytes, 2**64)
        self.assertRaisesRegex(moe_mlir.Error, "expected the sizes T", self.layer.workspace_bytes)
        for arguments, named in (((1, 2), {}), ((), {"U": 1})):
            self.assertRaises(moe_mlir.Error, self.layer.workspace_bytes, *arguments, **named)

    def test_values(self):
        for tokens in (1, 2, 7, 100, 7, 1):
            x, scores, routing = layers.inputs(tokens)
            reference = layers.expected(x, routing, self.tensors)
            self.assertLess(layers.difference(self.layer(x, scores=scores), reference), 1e-6)
            y = self.experts(x, routing=routing)
            self.assertIs(type(y), np.ndarray)
            self.assertEqual((y.dtype, y.shape), (np.float32, (tokens, 32)))
            self.assertLess(layers.difference(y, reference), 1e-6)

    def test_no_tokens(self):
        x, scores, routing = layers.inputs(0)
        self.assertEqual(self.layer(x, scores=scores).shape, (0, 32))
        self.assertEqual(self.experts(x, routing=routing).shape, (0, 32))

    def test_unused_slots(self):
        x, _, routing = layers.inputs(5)
        routing.indices[1, 0] = routing.indices[3, :] = -1
        y = self.experts(x, routing=routing)
        self.assertLess(layers.difference(y, layers.expected(x, routing, self.tensors)), 1e-6)
        self.assertFalse(y[3].any())

    def test_out(self):
        x, scores, _ = layers.inputs(5)
        y = self.layer(x, scores=scores)
        out = np.full((7, 32), 9, np.float32)
        self.assertIs(self.layer(x, scores=scores, out=out[1:6]).base, out)
        self.assertTrue((out[1:6] == y).all() and (out[[0, 6]] == 9).all())

    def test_read_only_and_memmap(self):
        x, scores, _ = layers.inputs(5)
        y = self.layer(x, scores=scores)
        frozen = x.copy()
        frozen.flags.writeable = False
        np.save(OUT / "x.npy", x)
        mapped = np.load(OUT / "x.npy", mmap_mode="r")
        for same in (frozen, mapped, x[:, :], np.asfortranarray(x.T).T):
            self.assertTrue((self.layer(same, scores=scores) == y).all())

    def test_dlpack(self):
        x, scores, routing = layers.inputs(5)
        y = self.layer(x, scores=scores)
        before = sys.getrefcount(x)
        lent = self.layer(Lent(x), scores=Lent(scores))
        self.assertTrue((lent == y).all())
        self.assertTrue((self.experts(Lent(x), routing=(routing.indices, Lent(routing.weights)))
                         == self.experts(x, routing=routing)).all())
        gc.collect()
        self.assertEqual(sys.getrefcount(x), before)
        with self.assertRaisesRegex(moe_mlir.Error, "x: not contiguous"):
            self.layer(Lent(np.asfortranarray(x)), scores=scores)
        with self.assertRaisesRegex(moe_mlir.Error, "x: elements are f64"):
            self.layer(Lent(x.astype(np.float64)), scores=scores)

    def test_half(self):
        """bf16 is uint16 with its bits, or of ml_dtypes; f16 is NumPy's."""
        source = (layers.INPUTS / "bf16.mlir").read_text()
        (OUT / "f16.mlir").write_text(source.replace("bf16", "f16"))
        tensors = layers.weights()
        x, scores, routing = layers.inputs(9)
        bits = layers.to_bf16(x)
        plain = {name: layers.to_bf16(tensors["experts." + long]) for name, long in
                 (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))}
        rounded = {"experts." + long: layers.from_bf16(plain[name]) for name, long in
                   (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))}
        layer = moe_mlir.load(layers.build(layers.INPUTS / "bf16.mlir", OUT / "bf16"))
        layer.weights = layer.pack(plain)
        y = layer(bits, scores=scores)
        self.assertEqual(y.dtype, np.uint16)
        reference = layers.expected(layers.from_bf16(bits), routing, rounded)
        self.assertLess(layers.difference(layers.from_bf16(y), reference), 2e-2)
        with self.assertRaisesRegex(moe_mlir.Error, "x: elements are f32, expected bf16"):
            layer(x, scores=scores)
        # Packing rounds f32 to nearest even, as to_bf16() does.
        layer.weights = layer.pack({name: tensors["experts." + long] for name, long in
                                    (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))})
        self.assertTrue((layer(bits, scores=scores) == y).all())

        half = moe_mlir.load(layers.build(OUT / "f16.mlir", OUT / "f16"))
        small = {name: (tensors["experts." + long] / 8).astype(np.float16) for name, long in
                 (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))}
        half.weights = half.pack(small)
        y = half(x.astype(np.float16), scores=scores)
        self.assertEqual(y.dtype, np.float16)
        named = dict(zip(("experts.gate_proj", "experts.up_proj", "experts.down_proj"), small.values()))
        self.assertLess(layers.difference(y, layers.expected(x.astype(np.float16), routing, named)), 5e-3)

    def test_sizes_scalars_results(self):
        layer = moe_mlir.load(layers.build(layers.INPUTS / "scale.mlir", OUT / "scale"))
        for t, u in ((3, 5), (3, 2), (1, 5), (3, 5)):
            x = np.arange(4 * t, dtype=np.float32).reshape(t, 4)
            z = np.ones((u, 4), np.float32)
            y, v = layer(x, a=2.5, z=z)
            self.assertTrue((y == x * np.float32(2.5)).all() and (v == z + np.float32(2.5)).all())
            self.assertEqual((y.shape, v.shape), ((t, 4), (u, 4)))
        outs = (np.empty_like(x), np.empty_like(z))
        y, v = layer(x, a=np.float32(3), z=z, out=outs)
        self.assertTrue(y is outs[0] and v is outs[1] and (v == 4).all())
        with self.assertRaisesRegex(moe_mlir.Error, "out= has to be a tuple of 2"):
            layer(x, a=1.0, z=z, out=outs[0])
        with self.assertRaisesRegex(moe_mlir.Error, r"out \(v\): overlaps 'y'"):
            layer(x, a=1.0, z=x, out=(outs[0], outs[0]))
        with self.assertRaisesRegex(moe_mlir.Error, "argument 'z' is missing"):
            layer(x, a=1.0)

    def test_record_replay(self):
        record = moe_mlir.load(layers.build(layers.INPUTS / "experts.mlir", OUT / "record", "--record-routing"),
                               function="layer", weights=self.layer.weights)
        replay = moe_mlir.load(layers.build(layers.INPUTS / "experts.mlir", OUT / "replay", "--replay-routing"),
                               function="layer", weights=self.layer.weights)
        x, scores, routing = layers.inputs(20)
        y, recorded = record(x, scores=scores)
        self.assertIsInstance(recorded, Routing)
        self.assertTrue((recorded.indices == routing.indices).all())
        self.assertLess(np.abs(recorded.weights - routing.weights).max(), 1e-6)
        self.assertTrue((recorded.counts == np.bincount(routing.indices.ravel(), minlength=8)).all())
        self.assertTrue((y == self.layer(x, scores=scores)).all())
        self.assertTrue((replay(x, scores=scores, routing=recorded) == y).all())

    def test_threads_make_no_difference(self):
        x, scores, _ = layers.inputs(50)
        one, two = (moe_mlir.load(self.path, function="layer", weights=self.layer.weights, threads=n) for n in (1, 2))
        self.assertTrue((one(x, scores=scores) == two(x, scores=scores)).all())


if __name__ == "__main__":
    unittest.main()
