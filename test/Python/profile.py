# What a profile says of routings, in Python as in moe-run: against sums taken here one
# assignment after another.
#
# RUN: %python %s

import math
import struct
import unittest

import numpy as np

import moe_mlir
from moe_mlir import _profile


def expected(indices, weights, experts):
    counts, sums, together, bins, by_k = [0] * experts, [0.0] * experts, {}, {}, [0] * (indices.shape[1] + 1)
    for row, values in zip(indices.tolist(), weights.tolist()):
        chosen = [e for e in row if e >= 0]
        by_k[len(chosen)] += 1
        for e, w in zip(row, values):
            if e >= 0:
                counts[e] += 1
                sums[e] += round(w * 2**30) / 2**30
                (bits,) = struct.unpack("I", struct.pack("f", abs(w)))
                b = -1 - (bits >> 20) if w < 0 else bits >> 20
                bins[b] = bins.get(b, 0) + 1
        for i in chosen:
            for j in chosen:
                if i < j:
                    together[i, j] = together.get((i, j), 0) + 1
    return counts, sums, [[i, j, n] for (i, j), n in sorted(together.items())], sorted(map(list, bins.items())), by_k


class Test(unittest.TestCase):
    def given(self, tokens, experts, slots, seed=1):
        random = np.random.default_rng(seed)
        indices = np.array([random.permutation(experts)[:slots] for _ in range(tokens)], np.int32)
        indices = indices.reshape(tokens, slots)
        indices[random.random(indices.shape) < 0.2] = -1
        weights = random.standard_normal(indices.shape).astype(np.float32)
        weights[indices < 0] = 0
        return indices, weights

    def test_sums(self):
        for tokens, experts, slots in ((200, 7, 3), (1, 1, 1), (50, 5, 5), (0, 4, 2)):
            indices, weights = self.given(tokens, experts, slots)
            got = _profile.routing(indices, weights, experts)
            counts, sums, pairs, bins, by_k = expected(indices, weights, experts)
            self.assertEqual(got["counts"], counts)
            self.assertEqual(got["weight_sums"], sums)
            self.assertEqual(got["pairs"], pairs)
            self.assertEqual(got["weights"]["bins"], bins)
            self.assertEqual(got["tokens_with"], by_k)
            self.assertEqual((got["tokens"], got["assignments"]), (tokens, sum(counts)))

    def test_quantiles(self):
        indices, weights = self.given(500, 6, 4)
        got = _profile.routing(indices, weights, 6)["weights"]
        values = sorted(weights[indices >= 0].tolist())
        self.assertEqual((got["least"], got["largest"]), (values[0], values[-1]))
        for share, value in zip((0, 0.05, 0.25, 0.5, 0.75, 0.95, 1), got["quantiles"]):
            exact = values[max(math.ceil(share * len(values)), 1) - 1]
            self.assertLessEqual(abs(value - exact), 0.0626 * abs(exact))

    def test_order_does_not_matter(self):
        indices, weights = self.given(300, 6, 4)
        there = _profile.routing(indices, weights, 6)
        back = _profile.routing(indices[::-1], weights[::-1], 6)
        self.assertEqual(there, back)

    def test_refused(self):
        with self.assertRaisesRegex(moe_mlir.Error, "layer_0: has a token with one expert twice"):
            _profile.routing([[1, 1]], [[0.5, 0.5]], 2, "layer_0")
        with self.assertRaisesRegex(moe_mlir.Error, "not finite"):
            _profile.routing([[1, 0]], [[0.5, float("nan")]], 2)


if __name__ == "__main__":
    unittest.main()
