# What compiled code would take on trust is refused, in one sentence that says
# what is wrong and what was expected; nothing is written and nothing printed.
#
# RUN: %python %s %t 2> %t.err
# RUN: not grep -i 'moe: ' %t.err

import copy
import os
import pickle
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers

import moe_mlir
from moe_mlir import Error, Routing

OUT = layers.folder()


class Refuse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m")
        cls.layer = moe_mlir.load(cls.path, function="layer")
        cls.layer.weights = cls.layer.pack(layers.weights())
        cls.experts = moe_mlir.load(cls.path, function="experts", weights=cls.layer.weights)
        cls.x, cls.scores, cls.routing = layers.inputs(5)

    def refused(self, pattern, *arguments, layer=None, **named):
        layer = layer or self.layer
        with self.assertRaisesRegex(Error, pattern) as caught:
            layer(*arguments, **named)
        self.assertNotIn("\n", str(caught.exception))
        return caught.exception

    def test_x(self):
        x, s = self.x, self.scores
        self.refused(r"x: elements are f64, expected f32\[5, 32\]", x.astype(np.float64), scores=s)
        self.refused(r"x: elements are >f4", x.astype(">f4"), scores=s)
        self.refused(r"x: elements are i32", x.view(np.int32), scores=s)
        self.refused(r"x: shape is \[5, 31\], expected f32\[5, 32\]", x[:, :31].copy(), scores=s)
        self.refused(r"x: shape is \[160\]", x.ravel(), scores=s)
        self.refused(r"x: shape is \[1, 5, 32\]", x[None], scores=s)
        self.refused(r"x: not contiguous", np.asfortranarray(x), scores=s)
        self.refused(r"x: not contiguous", np.repeat(x, 2, axis=1)[:, ::2], scores=s)
        self.refused(r"x: not contiguous", np.broadcast_to(x[:1], (5, 32)), scores=s)
        self.refused(r"x: is a list; expected an array", x.tolist(), scores=s)
        self.refused(r"x: is a NoneType", None, scores=s)
        self.refused(r"x: is a masked array", np.ma.masked_array(x), scores=s)

    def test_alignment(self):
        raw = np.zeros(self.x.nbytes + 1, np.uint8)
        odd = raw[1:].view(np.float32).reshape(self.x.shape)
        odd[...] = self.x
        self.assertEqual(self.refused("'x'.*align", odd, scores=self.scores).status, 4)

    def test_other_arguments(self):
        x, s = self.x, self.scores
        self.refused("layer: argument 'scores' is missing", x)
        self.refused(r"scores: shape is \[4, 8\], expected f32\[5, 8\]", x, scores=s[:4])
        self.refused("scores: elements are f16", x, scores=s.astype(np.float16))
        self.refused("no argument 'foo' that is given by its name; there are: scores", x, scores=s, foo=s)
        self.refused("no argument 'experts.gate_up'", x, scores=s, **{"experts.gate_up": s})
        self.refused("takes no routing", x, scores=s, routing=self.routing)

    def test_out(self):
        x, s = self.x, self.scores
        self.refused(r"out \(y\): is a str", x, scores=s, out="y")
        self.refused(r"y: shape is \[4, 32\]", x, scores=s, out=np.empty((4, 32), np.float32))
        self.refused(r"y: elements are f64", x, scores=s, out=np.empty((5, 32)))
        self.refused(r"y: not contiguous", x, scores=s, out=np.empty((5, 64), np.float32)[:, ::2])
        frozen = np.empty((5, 32), np.float32)
        frozen.flags.writeable = False
        self.refused(r"y: the array is read-only", x, scores=s, out=frozen)
        self.refused(r"out \(y\): overlaps 'x'", x, scores=s, out=x)
        both = np.zeros((9, 32), np.float32)
        self.refused(r"out \(y\): overlaps 'x'", both[:5], scores=s, out=both[4:])
        self.assertFalse(both.any())
        self.layer(both[:4].copy(), scores=s[:4], out=both[4:8])

    def test_routing(self):
        x, good = self.x, self.routing
        bad = good.indices.copy()
        bad[2, 1] = 8
        out = np.full((5, 32), 7, np.float32)
        error = self.refused(r"^experts: argument 'routing.indices' sends", x, layer=self.experts,
                             routing=Routing(bad, good.weights), out=out)
        self.assertEqual(error.status, 6)
        self.assertTrue((out == 7).all())
        twice = np.repeat(good.indices[:, :1], 2, axis=1)
        for indices in (twice, np.full_like(bad, -2)):
            self.assertEqual(self.refused("routing.indices", x, layer=self.experts,
                                          routing=(indices, good.weights)).status, 6)
        # The next call of the same layer is not disturbed.
        self.assertTrue(np.isfinite(self.experts(x, routing=good)).all())
        self.refused("routing.indices: elements are i64, expected i32", x, layer=self.experts,
                     routing=(good.indices.astype(np.int64), good.weights))
        self.refused(r"routing.weights: shape is \[5, 1\]", x, layer=self.experts,
                     routing=(good.indices, good.weights[:, :1].copy()))
        self.refused(r"routing.indices: shape is \[4, 2\]", x, layer=self.experts,
                     routing=(good.indices[:4], good.weights))
        for routing in (None, good.indices, (good.indices,), 3):
            self.refused(r"expected routing=Routing\(indices i32 \[T, K\]", x, layer=self.experts, routing=routing)

    def test_weights_missing(self):
        layer = moe_mlir.load(self.path, function="layer")
        self.refused("layer: has no weights", self.x, layer=layer, scores=self.scores)

    def test_pack(self):
        good = layers.weights()
        for change, pattern in (
                ({"experts.gate_proj": None}, "no tensor 'experts.gate_proj'"),
                ({"experts.gate": good["experts.up_proj"]}, "has no weight 'experts.gate'"),
                ({"experts.up_proj": good["experts.up_proj"][:, :, :31]}, r"experts.up_proj: shape is \[8, 16, 31\]"),
                ({"experts.up_proj": good["experts.up_proj"].swapaxes(1, 2)}, r"shape is \[8, 32, 16\]"),
                ({"experts.up_proj": good["experts.up_proj"].astype(np.float64)}, "experts.up_proj: elements are f64"),
                ({"experts.up_proj": [1]}, "experts.up_proj: is a list")):
            tensors = {k: v for k, v in {**good, **change}.items() if v is not None}
            with self.assertRaisesRegex(Error, pattern):
                self.layer.pack(tensors)
        for tensors in (None, [good]):
            with self.assertRaisesRegex(Error, "tensors: is a .*; expected a dict"):
                self.layer.pack(tensors)
        # What is not contiguous is copied, and dimensions of one in front do not matter.
        views = {k: np.asfortranarray(v)[None] for k, v in good.items()}
        again = moe_mlir.load(self.path, function="layer", weights=self.layer.pack(views))
        self.assertTrue((again(self.x, scores=self.scores) == self.layer(self.x, scores=self.scores)).all())

    def test_load(self):
        for arguments, pattern in (
                (dict(), r"which function\? choose one with function=; there are: experts, layer"),
                (dict(function="no"), "no function 'no'; there are"),
                (dict(function=3), "no function 3"),
                (dict(function=True), "no function True"),
                (dict(function="layer", weights=3), "weights: is a int; expected the path of a file of packed weights"),
                (dict(function="layer", weights={}), "weights: is a dict; expected"),
                (dict(function="layer", threads=0), "threads=0: expected"),
                (dict(function="layer", threads="2"), "threads='2': expected")):
            with self.assertRaisesRegex(Error, pattern):
                moe_mlir.load(self.path, **arguments)
        for path, pattern in ((OUT / "no.so", "no such file"), (OUT / "m.o", "not an artifact by its name"),
                              (OUT, "not an artifact"), (None, "artifact: is a NoneType; expected what compile"),
                              (3, "artifact: is a int")):
            with self.assertRaisesRegex(Error, pattern):
                moe_mlir.load(path)

    def test_copies(self):
        """Copies share code and weights; a pickle would have neither."""
        expected = self.layer(self.x, scores=self.scores)
        for twin in (copy.copy(self.layer), copy.deepcopy(self.layer)):
            self.assertIs(twin.weights, self.layer.weights)
            self.assertTrue((twin(self.x, scores=self.scores) == expected).all())
            twin.weights = None
        self.assertIsNotNone(self.layer.weights)
        with self.assertRaisesRegex(Error, "layer: a layer is code of this process, which cannot be pickled; load"):
            pickle.dumps(self.layer)


if __name__ == "__main__":
    unittest.main()
