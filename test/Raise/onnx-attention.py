# Attention and rotary embeddings that are one op, by running them, against NumPy
# in float64.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from one_op import Cases

import numpy as np

random = np.random.default_rng(13)
cases = Cases("onnx", sys.argv[1])
B, S, L, N, M, D, V = 2, 3, 5, 4, 2, 6, 8


def f(*shape):
    return (np.round(random.normal(size=shape) * 64) / 64).astype(np.float32)


def attention(q, k, v, scale, bias=None, causal=False):
    """q [B, N, S, D], k [B, M, L, D], v [B, M, L, V]."""
    out = np.zeros((*q.shape[:3], v.shape[3]))
    for b, n, s in np.ndindex(*q.shape[:3]):
        m = n // (q.shape[1] // k.shape[1])
        scores = np.array([q[b, n, s].astype(np.float64) @ row for row in k[b, m]]) * scale
        if bias is not None:
            full = np.broadcast_to(bias, (q.shape[0], q.shape[1], q.shape[2], k.shape[2]))[b, n, s]
            scores = np.where(full, scores, -np.inf) if bias.dtype == bool else scores + full
        if causal:
            scores[s + 1:] = -np.inf
        powers = np.exp(scores - scores.max())
        out[b, n, s] = powers / powers.sum() @ v[b, m].astype(np.float64)
    return out.astype(np.float32)


def split(x, heads):
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def join(x):
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], -1)


root = 1 / math.sqrt(D)
q, k, v = f(B, S, N * D), f(B, L, N * D), f(B, L, N * V)
bias = f(B, N, S, L)
multi = "com.microsoft.MultiHeadAttention"
expected = [split(a, N) for a in (q, k, v)]
cases.add(multi, [q, k, v], join(attention(*expected, root)), dynamic=False, num_heads=N)
for mask in (bias, bias[:1, :1], bias[:, :1], bias[:1]):
    cases.add(multi, [q, k, v, None, None, mask], join(attention(*expected, 0.25, mask)), dynamic=False,
              num_heads=N, scale=0.25)

few, values = f(B, L, M * D), f(B, L, M * V)
expected = [split(q, N), split(few, M), split(values, M)]
cases.add("Attention", [q, few, values], join(attention(*expected, root)), dynamic=False, q_num_heads=N, kv_num_heads=M)
cases.add("Attention", expected, attention(*expected, 0.5), dynamic=False, scale=0.5)
seen = random.integers(0, 2, (S, L)).astype(bool)
seen[:, 0] = True
for mask in (bias, bias[0, 0], seen, np.broadcast_to(seen, (B, 1, S, L)).copy()):
    cases.add("Attention", [*expected, mask], attention(*expected, root, mask), dynamic=False)
square = [f(B, n, S, D) for n in (N, M, M)]
cases.add("Attention", square, attention(*square, root, causal=True), dynamic=False, is_causal=1)


def rotated(x, cos, sin, places, interleaved):
    """x [B, N, S, D]."""
    half = cos.shape[-1]
    out = x.astype(np.float64)
    for b, n, s in np.ndindex(*x.shape[:3]):
        c, d = (cos[places[b, s]], sin[places[b, s]]) if places is not None else (cos[b, s], sin[b, s])
        row = x[b, n, s].astype(np.float64)
        one = slice(0, 2 * half, 2) if interleaved else slice(0, half)
        two = slice(1, 2 * half, 2) if interleaved else slice(half, 2 * half)
        out[b, n, s, one] = row[one] * c - row[two] * d
        out[b, n, s, two] = row[two] * c + row[one] * d
    return out.astype(np.float32)


x, cos, sin, part = f(B, S, N * D), f(9, D // 2), f(9, D // 2), f(9, 2)
places = random.integers(0, 9, (B, S))
for interleaved in (0, 1):
    given = {"interleaved": interleaved, "num_heads": N}
    cases.add("com.microsoft.RotaryEmbedding", [x, places, cos, sin],
              join(rotated(split(x, N), cos, sin, places, interleaved)), dynamic=False, **given)
    cases.add("com.microsoft.RotaryEmbedding", [x, np.array([4]), cos, sin],
              join(rotated(split(x, N), cos, sin, np.array([range(4, 4 + S)] * B), interleaved)), dynamic=False, **given)
    cases.add("com.microsoft.RotaryEmbedding", [split(x, N).copy(), places[:1].copy(), part, part],
              rotated(split(x, N), part, part, np.repeat(places[:1], B, 0), interleaved), dynamic=False,
              interleaved=interleaved)
    cases.add("RotaryEmbedding", [x, cos, sin, places], join(rotated(split(x, N), cos, sin, places, interleaved)),
              dynamic=False, **given)
    angles = f(B, S, D // 2), f(B, S, D // 2)
    cases.add("RotaryEmbedding", [split(x, N).copy(), *angles], rotated(split(x, N), *angles, None, interleaved),
              dynamic=False, interleaved=interleaved)

failures = cases.run(tolerance=1e-6)
for failure in failures:
    print(failure)
sys.exit(bool(failures))
