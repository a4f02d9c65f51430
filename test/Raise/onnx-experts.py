# Layers that are one op of ONNX Runtime, by running them, against NumPy in
# float64.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from one_op import Cases

import numpy as np

random = np.random.default_rng(11)
cases = Cases("onnx", sys.argv[1])
T, H, I, E = 6, 64, 32, 4


def f(*shape):
    return (np.round(random.normal(size=shape) * 64) / 256).astype(np.float32)


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def layer(x, router, k, normalize, act, first, second, third=(None, None), router_weights=None):
    """Loops over tokens and their experts."""
    x = x.astype(np.float64)
    logits = router.astype(np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    scores = powers / powers.sum(-1, keepdims=True) if router_weights is None else router_weights.astype(np.float64)
    rows = x.reshape(-1, x.shape[-1])
    out = np.zeros_like(rows)

    def project(value, pair, e):
        y = pair[0][e].astype(np.float64) @ value
        return y if pair[1] is None else y + pair[1][e]
    for t, row in enumerate(rows):
        best = np.argsort(-logits[t], kind="stable")[:k]
        weights = scores[t, best]
        if normalize:
            weights = weights / weights.sum()
        for e, w in zip(best, weights):
            h = project(row, first, e)
            h = act(h) if third[0] is None else act(h) * project(row, third, e)
            out[t] += w * project(h, second, e)
    return out.reshape(x.shape).astype(np.float32)


def silu(v):
    return v * sigmoid(v)


def gelu(v):
    return v / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)))


def swiglu(alpha, beta, limit, interleaved):
    def act(h):
        g, l = (h[0::2], h[1::2]) if interleaved else np.split(h, 2)
        if limit is not None:
            g, l = np.minimum(g, limit), np.clip(l, -limit, limit)
        return g * sigmoid(alpha * g) * (l + beta)
    return act


x, wide, router = f(T, H), f(2, 3, H), f(T, E) * 8
one, two, three, fused = f(E, I, H), f(E, H, I), f(E, I, H), f(E, 2 * I, H)
b1, b2, b3, b12 = f(E, I), f(E, H), f(E, I), f(E, 2 * I)
moe = "com.microsoft.MoE"

# Weights have sizes that are known, as initializers have; tokens need not.
for name, act in [("relu", lambda v: np.maximum(v, 0)), ("gelu", gelu), ("silu", silu), ("identity", lambda v: v)]:
    cases.add(moe, [x, router, one, b1, two, b2], layer(x, router, 2, 0, act, (one, b1), (two, b2)), dynamic=False,
              k=2, activation_type=name)
cases.add(moe, [x, router, one, None, two], layer(x, router, 1, 0, lambda v: np.maximum(v, 0), (one, None), (two, None)),
          dynamic=False)
cases.add(moe, [wide, router, one, None, two, None, three],
          layer(wide, router, 2, 1, silu, (one, None), (two, None), (three, None)), dynamic=False,
          k=2, activation_type="silu", normalize_routing_weights=1)
cases.add(moe, [x, router, one, b1, two, b2, three, b3],
          layer(x, router, 3, 1, silu, (one, b1), (two, b2), (three, b3)), dynamic=False,
          k=3, activation_type="swiglu", normalize_routing_weights=1)
for fusion, alpha, beta, limit in [(1, 1.0, 0.0, None), (2, 1.0, 0.0, None), (1, 1.75, 1.0, 0.5), (1, 1.75, 1.0, None),
                                   (2, 0.5, 0.25, 0.25)]:
    given = {} if limit is None else {"swiglu_limit": limit}
    cases.add(moe, [x, router, fused, b12, two, b2],
              layer(x, router, 2, 1, swiglu(alpha, beta, limit, fusion == 1), (fused, b12), (two, b2)), dynamic=False,
              k=2, activation_type="swiglu", normalize_routing_weights=1, swiglu_fusion=fusion,
              activation_alpha=alpha, activation_beta=beta, **given)


# -- In fewer bits ------------------------------------------------------------

def quantized(out, depth, bits, block, zero=False):
    """Codes as bytes, scales, packed zero points or None, and the values."""
    pack, blocks = 8 // bits, depth // block if block else 1
    codes = random.integers(0, 1 << bits, (E, out, depth))
    scales = (random.integers(1, 9, (E, out, blocks)) / 256).astype(np.float32)
    zeros = random.integers(0, 1 << bits, (E, out, blocks)) if zero else np.full((E, out, blocks), 1 << (bits - 1))
    values = (codes - np.repeat(zeros, depth // blocks, -1)) * np.repeat(scales, depth // blocks, -1)

    def packed(a):
        a = np.concatenate([a, np.zeros((*a.shape[:-1], -a.shape[-1] % pack), a.dtype)], -1)
        parts = a.reshape(*a.shape[:-1], -1, pack) << (np.arange(pack) * bits)
        return parts.sum(-1).astype(np.uint8).view(np.int8)
    return packed(codes), scales if block else scales[..., 0], packed(zeros) if zero else None, values


relu = lambda v: np.maximum(v, 0)
for bits, block, zero in [(4, 32, False), (4, 0, False), (4, 16, False), (4, 16, True), (8, 32, False), (8, 0, False),
                          (8, 16, True), (2, 16, False)]:
    q1, s1, z1, v1 = quantized(I, H, bits, block, zero)
    q2, s2, z2, v2 = quantized(H, I, bits, block, zero)
    given = {"block_size": block} if block else {}
    cases.add("com.microsoft.QMoE", [x, router, q1, s1, b1, q2, s2, b2, None, None, None, z1, z2],
              layer(x, router, 2, 1, relu, (v1, b1), (v2, b2)), dynamic=False, k=2, normalize_routing_weights=1,
              expert_weight_bits=bits, **given)
q1, s1, _, v1 = quantized(2 * I, H, 4, 32)
q2, s2, _, v2 = quantized(H, I, 4, 32)
weights = np.abs(f(T, E))
cases.add("com.microsoft.QMoE", [x, router, q1, s1, None, q2, s2] + [None] * 7 + [weights],
          layer(x, router, 2, 1, swiglu(1, 0, None, True), (v1, None), (v2, None), router_weights=weights),
          dynamic=False, k=2, normalize_routing_weights=1, activation_type="swiglu", swiglu_fusion=1, block_size=32)


# -- Our own, of python/moe_mlir/export.py -------------------------------------

def given_experts(ids, weights, first, second, b1, b2, act, transposed):
    """Loops over tokens and the experts that they are given."""
    out = np.zeros((T, H))
    for t in range(T):
        for e, w in zip(ids[t], weights[t]):
            up, down = (m[e].astype(np.float64).T if transposed else m[e].astype(np.float64) for m in (first, second))
            h = act(up @ x[t] + (0 if b1 is None else b1[e]))
            out[t] += w * (down @ h + (0 if b2 is None else b2[e]))
    return out.astype(np.float32)


ids = np.array([random.permutation(E)[:2] for _ in range(T)], np.int64)
chosen = np.abs(f(T, 2))
own = "moe_mlir.ExportedExperts"
cases.add(own, [x, ids, chosen, fused, two],
          given_experts(ids, chosen, fused, two, None, None, lambda h: silu(h[:I]) * h[I:], False), dynamic=False,
          activation="silu", gated=1, interleaved=0, transposed=0)
turned, back = f(E, H, 2 * I), f(E, I, H)
cases.add(own, [x, ids, chosen, turned, back, b12, b2],
          given_experts(ids, chosen, turned, back, b12, b2, swiglu(1.5, 1, 0.25, True), True), dynamic=False,
          activation="clamped_swiglu:1.5:0.25:1", gated=1, interleaved=1, transposed=1)
cases.add(own, [x, ids, chosen, one, two, None, b2],
          given_experts(ids, chosen, one, two, None, b2, relu, False), dynamic=False,
          activation="relu", gated=0, interleaved=0, transposed=0)

failures = cases.run(tolerance=1e-6)
for failure in failures:
    print(failure)
sys.exit(bool(failures))
