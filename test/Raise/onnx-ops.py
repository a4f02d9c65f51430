# Each of ONNX's operators that has an entry in a table, by running it, against
# NumPy in float64.
#
# REQUIRES: python-numpy
# RUN: %python %s %t %moe_src

import math
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from one_op import Cases, Constant as C

import numpy as np

folder, source = sys.argv[1], sys.argv[2]
random = np.random.default_rng(7)
cases = Cases("onnx", folder)
add = cases.add


def f(*shape):
    """Numbers that float32 has, so that all is exact up to sums."""
    return np.round(random.normal(size=shape) * 64).astype(np.float32) / 32


def wide(a):
    return a.astype(np.float64)


def out(a):
    """What the interpreter gives for a tensor of f32."""
    return np.asarray(a, np.float64).astype(np.float32)


def integers(low, high, *shape):
    return random.integers(low, high, shape).astype(np.int64)


x, y, row = f(3, 4), f(3, 4), f(4)
i, j = integers(-9, 9, 3, 4), integers(1, 5, 3, 4)
bits, others = x > 0, y > 0
scalar = C(np.float32(0.5))

# -- Elementwise --------------------------------------------------------------

for name, function in [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply),
                       ("Max", np.maximum), ("Min", np.minimum)]:
    add(name, [x, y], out(function(wide(x), wide(y))))
    add(name, [i, j], function(i, j))
    add(name, [x, row], out(function(wide(x), wide(row))))
    add(name, [row, scalar], out(function(wide(row), 0.5)))
    add(name, [C(np.array([[[2.0]]], np.float32)), row], out(function(2.0, wide(row)))[None, None])
add("Sum", [x, y, row], out(wide(x) + wide(y) + wide(row)))
add("Max", [x], x)
add("Div", [x, y + 100], out(wide(x) / wide(y + 100)))
add("Div", [i, j], np.trunc(i / j).astype(np.int64))
add("Mod", [i, j], np.mod(i, j))
add("Mod", [i, -j], np.mod(i, -j))
add("Mod", [i, j], np.fmod(i, j), fmod=1)
add("Mod", [x, y + 100], out(np.fmod(wide(x), wide(y + 100))), fmod=1)
add("Pow", [np.abs(x) + 1, y], out((np.abs(wide(x)) + 1) ** wide(y)))
add("Pow", [x, C(np.float32(2))], out(wide(x) ** 2))
add("Pow", [x, C(np.int64(3))], out(wide(x) ** 3))
for name, function in [("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor)]:
    add(name, [bits, others], function(bits, others))
add("BitwiseAnd", [i, j], i & j)
add("BitwiseOr", [i, j], i | j)
add("Not", [bits], ~bits)
for name, function in [("Equal", np.equal), ("Less", np.less), ("LessOrEqual", np.less_equal),
                       ("Greater", np.greater), ("GreaterOrEqual", np.greater_equal)]:
    add(name, [x, np.where(bits, x, y)], function(x, np.where(bits, x, y)))
    add(name, [i, np.abs(i)], function(i, np.abs(i)))
odd = np.array([1, np.nan, np.inf, -np.inf], np.float32)
add("IsNaN", [odd], np.isnan(odd))
for name, function in [("Neg", np.negative), ("Abs", np.abs), ("Exp", np.exp), ("Sin", np.sin), ("Cos", np.cos),
                       ("Tanh", np.tanh), ("Floor", np.floor), ("Ceil", np.ceil), ("Round", np.round),
                       ("Sigmoid", lambda v: 1 / (1 + np.exp(-v))), ("Relu", lambda v: np.maximum(v, 0)),
                       ("Softplus", lambda v: np.log1p(np.exp(v))), ("Elu", lambda v: np.where(v < 0, np.expm1(v), v)),
                       ("LeakyRelu", lambda v: np.where(v < 0, np.float32(0.01) * v, v)),
                       ("Swish", lambda v: v / (1 + np.exp(-v))), ("Identity", lambda v: v), ("Dropout", lambda v: v),
                       ("Erf", np.vectorize(math.erf)),
                       ("Gelu", lambda v: v / 2 * (1 + np.vectorize(math.erf)(v / math.sqrt(2)))),
                       ("com.microsoft.Gelu", lambda v: v / 2 * (1 + np.vectorize(math.erf)(v / math.sqrt(2)))),
                       ("com.microsoft.QuickGelu", lambda v: v / (1 + np.exp(-1.702 * v)))]:
    # Activations have constants that float32 rounds.
    add(name, [x], out(function(wide(x))))
add("Neg", [i], -i)
add("Abs", [i], np.abs(i))
for name, function in [("Sqrt", np.sqrt), ("Log", np.log), ("Reciprocal", np.reciprocal)]:
    add(name, [np.abs(x) + 1], out(function(wide(np.abs(x) + 1))))
add("Gelu", [x], out(wide(x) / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide(x) + 0.044715 * wide(x) ** 3)))),
    approximate="tanh")
add("LeakyRelu", [x], out(np.where(x < 0, 0.25 * wide(x), wide(x))), alpha=0.25)
add("Elu", [x], out(np.where(x < 0, 2 * np.expm1(wide(x)), wide(x))), alpha=2.0)
add("Swish", [x], out(wide(x) / (1 + np.exp(-2 * wide(x)))), alpha=2.0)
add("Clip", [x, C(np.float32(-1)), C(np.float32(1.5))], np.clip(x, -1, np.float32(1.5)))
add("Clip", [x, None, C(np.float32(0.5))], np.minimum(x, np.float32(0.5)))
add("Clip", [i, C(np.int64(-2))], np.maximum(i, -2))
add("Where", [bits, x, row], np.where(bits, x, row))
add("Where", [bits, C(np.float32(-np.inf)), x], np.where(bits, np.float32(-np.inf), x))
for to, kind in [(1, np.float32), (6, np.int32), (7, np.int64), (9, np.bool_)]:
    for value in (x, i, bits):
        add("Cast", [value], value.astype(kind), to=to)
add("Cast", [np.array([-1, 5], np.int8)], np.array([255, 5], np.int64), to=7, onnx_unsigned=[0])

# -- Shapes -------------------------------------------------------------------

t = f(2, 3, 4)
add("Shape", [t], np.array([2, 3, 4]))
add("Shape", [t], np.array([3, 4]), start=-2)
add("Shape", [t], np.array([2]), end=1)
add("Size", [t], np.array(24))
for shape, zero in [([6, 4], 0), ([-1], 0), ([4, -1], 0), ([0, -1], 0), ([2, 2, -1, 2], 0), ([1, 0, 0, 4, 1], 1)]:
    if not zero:
        expected = t.reshape([t.shape[k] if n == 0 else n for k, n in enumerate(shape)])
        add("Reshape", [t, C(np.array(shape))], expected)
add("Reshape", [f(0, 3), C(np.array([3, 0]))], np.zeros((3, 0), np.float32), dynamic=False, allowzero=1)
add("Reshape", [C(np.arange(4)), C(np.array([2, 2]))], np.arange(4).reshape(2, 2))
add("Unsqueeze", [x, C(np.array([0, -1]))], x[None, :, :, None])
one = f(1, 3, 1)
add("Squeeze", [one, C(np.array([-1]))], one[:, :, 0])
add("Squeeze", [one, C(np.array([0, 2]))], one[0, :, 0])
add("Squeeze", [one], one[0, :, 0], dynamic=False)
add("Flatten", [t], t.reshape(2, 12))
add("Flatten", [t], t.reshape(6, 4), axis=-1)
add("Flatten", [t], t.reshape(1, 24), axis=0)
add("Transpose", [t], t.transpose())
add("Transpose", [t], t.transpose(1, 0, 2), perm=[1, 0, 2])
add("Expand", [one, C(np.array([2, 1, 1, 5]))], np.broadcast_to(one, (2, 1, 3, 5)), dynamic=False)
add("Expand", [C(np.float32(3)), C(np.array([2, 2]))], np.full((2, 2), 3, np.float32))
add("Expand", [C(np.zeros((2, 1), np.float32) + np.float32(1)), C(np.array([1, 3]))], np.ones((2, 3), np.float32))
add("Tile", [x, C(np.array([2, 3]))], np.tile(x, (2, 3)))
add("Tile", [x, C(np.array([1, 2]))], np.tile(x, (1, 2)))
add("Concat", [x, y], np.concatenate([x, y]), axis=0)
add("Concat", [x, y, x], np.concatenate([x, y, x], 1), axis=-1)
add("Concat", [C(np.array([1])), C(np.array([2, 3]))], np.array([1, 2, 3]), axis=0)
add("Split", [x], [x[:, :2], x[:, 2:]], dynamic=False, axis=1, num_outputs=2)
add("Split", [x], [x[:2], x[2:]], dynamic=False, axis=0, num_outputs=2)
add("Split", [x, C(np.array([1, 3]))], [x[:, :1], x[:, 1:]], axis=1)
add("Split", [C(np.arange(4)), C(np.array([1, 3]))], [np.arange(1), np.arange(1, 4)], axis=0)
most = 2**63 - 1
for starts, ends, axes, steps, expected in [
        ([1], [3], None, None, t[1:3]), ([0, -2], [most, most], [0, 1], None, t[:, -2:]),
        ([1], [most], [2], [2], t[:, :, 1::2]), ([-3], [-1], [-1], None, t[:, :, -3:-1]),
        ([5], [9], [1], None, t[:, 5:9]), ([-1], [-most], [1], [-1], t[:, ::-1]), ([0], [0], [0], None, t[:0])]:
    parts = [C(np.array(starts)), C(np.array(ends)), C(np.array(axes)) if axes else None,
             C(np.array(steps)) if steps else None]
    add("Slice", [t, *parts], expected)
add("Slice", [C(np.arange(5)), C(np.array([1])), C(np.array([5])), C(np.array([0])), C(np.array([2]))], np.array([1, 3]))
add("ConstantOfShape", [C(np.array([2, 3]))], np.zeros((2, 3), np.float32))
add("ConstantOfShape", [C(np.array([3]))], np.array([7, 7, 7]), value=np.array([7]))
add("Range", [C(np.int64(2)), C(np.int64(9)), C(np.int64(3))], np.array([2, 5, 8]))
add("Range", [np.array(2), np.array(6), C(np.int64(1))],
    np.arange(2, 6))
add("Range", [np.array(6), np.array(2), C(np.int64(1))], np.zeros(0, np.int64))
square = f(2, 4, 4)
add("Trilu", [square], np.triu(square))
add("Trilu", [square, C(np.int64(1))], np.triu(square, 1))
add("Trilu", [square, C(np.int64(-1))], np.tril(square, -1), upper=0)

# -- Gathers and scatters -----------------------------------------------------

ids = integers(-3, 3, 2, 5)
add("Gather", [x, ids], x[ids])
columns = integers(-4, 4, 3)
add("Gather", [t, columns], t[:, :, columns], axis=-1)
add("Gather", [t, C(np.int64(1))], t[:, 1], axis=1)
add("Gather", [t, C(np.array([2, 0]))], t[:, [2, 0]], axis=1)
add("Gather", [t, C(np.int64(-1))], t[:, -1], axis=1)
places = integers(-4, 4, 3, 2)
add("GatherElements", [x, places], np.take_along_axis(x, places % 4, 1), axis=1)
pairs = np.stack([integers(-2, 2, 5), integers(0, 3, 5)], -1)
add("GatherND", [t, pairs], t[pairs[:, 0], pairs[:, 1]], dynamic=False)
single = integers(0, 2, 4, 1)
add("GatherND", [t, single], t[single[:, 0]], dynamic=False)
add("GatherND", [t, C(np.array([[1], [0]]))], np.stack([t[0, 1], t[1, 0]]), batch_dims=1)


def scattered(data, places, updates, axis, function):
    result = data.astype(np.float64)
    for index in np.ndindex(*places.shape):
        to = list(index)
        to[axis] = places[index] % data.shape[axis]
        result[tuple(to)] = function(result[tuple(to)], updates[index])
    return result.astype(data.dtype)


functions = {"none": lambda a, b: b, "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "max": max, "min": min}
updates = f(3, 6)
for reduction, function in functions.items():
    many = integers(-4, 4, 3, 6)
    if reduction == "none":  # with twice the same place it is not said who wins
        many = np.stack([random.permutation(4)[:3] for _ in range(3)])
    part = updates[:, :many.shape[1]]
    add("ScatterElements", [x, many, part], scattered(x, many, part, 1, function), axis=1, reduction=reduction)
    rows = integers(-3, 3, 5, 1) if reduction != "none" else np.array([[2], [-3]])
    news = f(len(rows), 4)
    expected = wide(x)
    for place, new in zip(rows[:, 0], news):
        expected[place] = [function(a, b) for a, b in zip(expected[place], new)]
    add("ScatterND", [x, C(rows), news], expected.astype(np.float32), reduction=reduction)
expected = x.copy()
expected[[0, 2], [1, 3]] = [5, 6]
add("ScatterND", [x, C(np.array([[0, 1], [2, 3]])), C(np.array([5, 6], np.float32))], expected)

# -- The largest --------------------------------------------------------------

distinct = random.permutation(24).reshape(2, 3, 4).astype(np.float32)
for axis in (-1, 1):
    for largest in (1, 0):
        order = np.argsort(-distinct if largest else distinct, axis=axis)
        order = np.take(order, [0, 1], axis=axis)
        add("TopK", [distinct, C(np.array([2]))], [np.take_along_axis(distinct, order, axis), order], dynamic=False,
            axis=axis, largest=largest)
ties = np.array([[1, 3, 3, 0]], np.float32)
add("TopK", [ties, C(np.array([3]))], [np.array([[3, 3, 1]], np.float32), np.array([[1, 2, 0]])], dynamic=False)
flat = np.array([4.0, 7.0, 1.0], np.float32)
add("TopK", [flat, C(np.array([2]))], [np.array([7, 4], np.float32), np.array([1, 0])], dynamic=False)
sort = np.array([3, 0, 3, 1, 0])
add("TopK", [sort, C(np.array([5]))], [np.sort(sort), np.argsort(sort, kind="stable")], dynamic=False, largest=0)
add("ArgMax", [distinct], np.argmax(distinct, 0)[None], dynamic=False)
add("ArgMax", [distinct], np.argmax(distinct, 2), dynamic=False, axis=-1, keepdims=0)
add("ArgMax", [ties], np.array([1]), dynamic=False, axis=1, keepdims=0)
add("ArgMin", [distinct], np.argmin(distinct, 1), dynamic=False, axis=1, keepdims=0)
hot = integers(-3, 5, 2, 3)  # 3 and 4 are no places
expected = np.where(np.where(hot < 0, hot + 3, hot)[..., None] == np.arange(3), 5, 2)
add("OneHot", [hot, C(np.int64(3)), C(np.array([2, 5]))], expected)
add("OneHot", [hot, C(np.array([3])), np.array([2.0, 5.0], np.float32)],
    np.moveaxis(expected, -1, 1).astype(np.float32), dynamic=False, axis=1)
add("CumSum", [i, C(np.int64(1))], np.cumsum(i, 1))
add("CumSum", [x, C(np.int64(0))], out(np.cumsum(wide(x), 0) - wide(x)), exclusive=1)

# -- Products and sums --------------------------------------------------------

for a, b in [(x, f(4, 5)), (t, f(4, 5)), (t, f(2, 4, 5)), (f(2, 1, 3, 4), f(3, 4, 2)), (row, f(4, 5)), (x, row),
             (row, row), (t, f(1, 4, 5)), (x, f(2, 4, 5))]:
    static = any(1 in v.shape for v in (a, b))
    add("MatMul", [a, b], out(wide(a) @ wide(b)), dynamic=not static)
w, bias = f(5, 4), f(5)
add("Gemm", [x, w], out(wide(x) @ wide(w).T), transB=1)
add("Gemm", [x, w, bias], out(wide(x) @ wide(w).T + wide(bias)), transB=1, alpha=1.0, beta=1.0)
add("Gemm", [x, y, C(np.float32(2))], out(0.5 * wide(x).T @ wide(y) + 4), transA=1, alpha=0.5, beta=2.0)
for equation, values in [("ij,kj->ik", [x, w]), ("bij,bjk->bki", [t, f(2, 4, 5)]), ("ij->ji", [x]), ("ijk->j", [t]),
                         ("ij,k -> i", [x, row]), ("te,teh->th", [x, f(3, 4, 5)])]:
    add("Einsum", values, out(np.einsum(equation, *map(wide, values))), equation=equation)
for name, function in [("Sum", np.sum), ("Mean", np.mean), ("Max", np.max), ("Min", np.min), ("Prod", np.prod),
                       ("SumSquare", lambda v, **k: np.sum(v * v, **k)),
                       ("L1", lambda v, **k: np.sum(np.abs(v), **k)),
                       ("L2", lambda v, **k: np.sqrt(np.sum(v * v, **k)))]:
    add("Reduce" + name, [t, C(np.array([-1]))], out(function(wide(t), axis=-1, keepdims=True)))
    add("Reduce" + name, [t, C(np.array([0, 2]))], out(function(wide(t), axis=(0, 2))), keepdims=0)
    add("Reduce" + name, [t], out(function(wide(t))).reshape(1, 1, 1))
    add("Reduce" + name, [t], out(function(wide(t), axis=1)), axes=[1], keepdims=0)
    add("Reduce" + name, [t], t, noop_with_empty_axes=1)
for name, function in [("Sum", np.sum), ("Max", np.max), ("Min", np.min)]:
    add("Reduce" + name, [i, C(np.array([1]))], function(i, axis=1, keepdims=True))
add("ReduceProd", [C(np.array([2, 3, 4]))], np.array([24]))
for axis in (-1, 1):
    powers = np.exp(wide(t) - wide(t).max(axis, keepdims=True))
    add("Softmax", [t], out(powers / powers.sum(axis, keepdims=True)), axis=axis)
    add("LogSoftmax", [t * 500], out(wide(t * 500) - wide(t * 500).max(axis, keepdims=True) - np.log(
        np.exp(wide(t * 500) - wide(t * 500).max(axis, keepdims=True)).sum(axis, keepdims=True))), axis=axis)


def normed(v, axes, epsilon, centred):
    v = v - v.mean(axes, keepdims=True) if centred else v
    return v / np.sqrt((v * v).mean(axes, keepdims=True) + epsilon)


scale, shift = f(4), f(4)
e = 2.0**-10
add("LayerNormalization", [t, scale, shift], out(normed(wide(t), -1, e, True) * wide(scale) + wide(shift)), epsilon=e)
add("LayerNormalization", [t, f(3, 4) * 0 + 2], out(normed(wide(t), (1, 2), e, True) * 2), axis=1, epsilon=e)
for name in ("RMSNormalization", "SimplifiedLayerNormalization", "com.microsoft.SimplifiedLayerNormalization"):
    add(name, [t, scale], out(normed(wide(t), -1, e, False) * wide(scale)), epsilon=e)
skip = f(2, 3, 4)
total = wide(t) + wide(skip)
add("com.microsoft.SkipSimplifiedLayerNormalization", [t, skip, scale],
    [out(normed(total, -1, e, False) * wide(scale)), None, None, out(total)], epsilon=e)
add("com.microsoft.SkipLayerNormalization", [t, skip, scale, shift, row],
    out(normed(total + wide(row), -1, e, True) * wide(scale) + wide(shift)), epsilon=e)

failures = cases.run(tolerance=1e-6)
for failure in failures:
    print(failure)

# All that tables have an entry for, but layers and attention, which have tests of
# their own.
names = set()
tables = os.path.join(source, "lib", "Raise", "Foreign")
for name in os.listdir(tables):
    if name.startswith("Onnx") and name not in (
            "OnnxAttention.cpp", "OnnxExperts.cpp", "OnnxExportedExperts.cpp"):
        with open(os.path.join(tables, name)) as file:
            names |= {op.removeprefix("onnx.") for op in re.findall(r'\badd\(\s*"([\w.]+)"', file.read())}
assert len(names) > 80, names
names.remove("NonZero")  # onnx-loops.py
for name in sorted(names - cases.covered):
    print(name, "has no case")
sys.exit(bool(failures or names - cases.covered))
