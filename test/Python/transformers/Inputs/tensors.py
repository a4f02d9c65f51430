"""Layers called with PyTorch's tensors, against the formula in float64; and what is refused."""

import os
import sys
import unittest

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, Routing

OUT = layers.folder()


class Tensors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        cls.tensors = layers.weights()
        cls.layer = moe_mlir.load(path, function="experts")
        cls.layer.weights = cls.layer.pack({n: torch.from_numpy(v) for n, v in cls.tensors.items()})
        cls.scored = moe_mlir.load(path, function="layer", weights=cls.layer.weights)
        x, scores, routing = layers.inputs(9)
        cls.expected = layers.expected(x, routing, cls.tensors)
        cls.plain = cls.layer(x, routing=routing)
        cls.x, cls.scores = torch.from_numpy(x), torch.from_numpy(scores)
        cls.routing = Routing(torch.from_numpy(routing.indices), torch.from_numpy(routing.weights))

    def test_results(self):
        y = self.layer(self.x, routing=self.routing)
        self.assertIs(type(y), torch.Tensor)
        self.assertEqual((y.dtype, tuple(y.shape), y.requires_grad), (torch.float32, (9, 32), False))
        self.assertTrue((y.numpy() == self.plain).all())
        self.assertLess(layers.difference(y, self.expected), 1e-6)
        self.assertLess(layers.difference(self.scored(self.x, scores=self.scores), self.expected), 1e-6)
        # Kinds may be mixed; the result is of x's.
        mixed = (self.routing.indices.numpy(), self.routing.weights)
        self.assertTrue(torch.equal(self.layer(self.x, routing=mixed), y))
        out = torch.empty(9, 32)
        self.assertIs(self.layer(self.x, routing=self.routing, out=out), out)
        self.assertTrue(torch.equal(out, y))
        parameter = torch.nn.Parameter(self.x)
        with torch.no_grad():
            self.assertTrue(torch.equal(self.layer(parameter, routing=self.routing), y))
        with torch.inference_mode():
            self.assertTrue(torch.equal(self.layer(self.x * 1, routing=self.routing), y))
        none = Routing(self.routing.indices[:0], self.routing.weights[:0])
        self.assertEqual(self.layer(self.x[:0], routing=none).shape, (0, 32))

    def test_half(self):
        source = (layers.INPUTS / "bf16.mlir").read_text()
        (OUT / "f16.mlir").write_text(source.replace("bf16", "f16"))
        for name, dtype, path, tolerance in (("bf16", torch.bfloat16, layers.INPUTS / "bf16.mlir", 2e-2),
                                             ("f16", torch.float16, OUT / "f16.mlir", 5e-3)):
            layer = moe_mlir.load(layers.build(path, OUT / name))
            given = {short: torch.from_numpy(self.tensors["experts." + long] / 8).to(dtype)
                     for short, long in (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))}
            layer.weights = layer.pack(given)
            x = self.x.to(dtype)
            y = layer(x, scores=self.scores)
            self.assertEqual(y.dtype, dtype)
            rounded = {"experts." + long: given[short].double().numpy()
                       for short, long in (("g", "gate_proj"), ("u", "up_proj"), ("d", "down_proj"))}
            routing = Routing(self.routing.indices.numpy(), self.routing.weights.numpy())
            self.assertLess(layers.difference(y.double(), layers.expected(x.double().numpy(), routing, rounded)),
                            tolerance)

    def refused(self, pattern, x, routing=None, **named):
        with self.assertRaisesRegex(Error, pattern) as caught:
            self.layer(x, routing=routing or self.routing, **named)
        self.assertNotIn("\n", str(caught.exception))

    def test_refused(self):
        x, (indices, weights, _) = self.x, self.routing
        self.refused(r"x: elements are f64, expected f32\[9, 32\]", x.double())
        self.refused("x: elements are bf16", x.bfloat16())
        self.refused(r"x: shape is \[9, 31\]", x[:, :31].clone())
        self.refused("x: not contiguous", x.t().contiguous().t())
        self.refused("x: not contiguous", x[:1].expand(9, 32))
        self.refused("x: the tensor is on meta", x.to("meta"))
        self.refused("x: the tensor is torch.sparse_coo", x.to_sparse())
        self.refused("x: requires a gradient", x.clone().requires_grad_())
        self.refused("x: the tensor is a negation that was put off", torch._neg_view(x))
        self.refused("routing.indices: elements are i64, expected i32", x, routing=(indices.long(), weights))
        self.refused("y: the tensor requires a gradient, and it would be written", x,
                     out=torch.nn.Parameter(torch.empty(9, 32)))
        self.refused(r"out \(y\): overlaps 'x'", x, out=x)


if __name__ == "__main__":
    unittest.main()
