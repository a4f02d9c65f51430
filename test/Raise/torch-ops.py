# Each of PyTorch's operators that has an entry in a table, by running it, against
# NumPy in float64.
#
# REQUIRES: python-numpy
# RUN: %python %s %t %moe_src

import math
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from torch_text import TorchCases

import numpy as np

folder, source = sys.argv[1], sys.argv[2]
random = np.random.default_rng(11)
cases = TorchCases(folder)
FLOAT, LONG, INT, BOOL = 6, 4, 3, 11


def add(op, operands, expected, **more):
    cases.add("aten." + op, operands, expected, **more)


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
sigmoid = 1 / (1 + np.exp(-wide(x)))

# -- Elementwise --------------------------------------------------------------

add("add.Tensor", [x, row, 1], out(wide(x) + wide(row)))
add("add.Tensor", [x, y, 3], out(wide(x) + 3 * wide(y)))
add("add.Tensor", [x, i, 1], out(wide(x) + i))
add("add.Tensor", [i, j, 2], i + 2 * j)
add("add.Scalar", [x, 0.5, 2], out(wide(x) + 1))
add("sub.Tensor", [x, y, 1.0], out(wide(x) - wide(y)))
add("sub.Scalar", [i, 3, 2], i - 6)
add("rsub.Scalar", [x, 2.0, 3], out(2 - 3 * wide(x)))
add("rsub.Tensor", [x, y, 1], out(wide(y) - wide(x)))
add("mul.Tensor", [x, row], out(wide(x) * wide(row)))
add("mul.Scalar", [x, 1], x)
add("mul.Scalar", [x, 1.5], out(wide(x) * 1.5))
add("div.Tensor", [x, y + 100], out(wide(x) / wide(y + 100)))
add("div.Tensor", [i, j], out(i / j))
add("div.Scalar", [x, 4], out(wide(x) / 4))
add("div.Tensor_mode", [i, j, "floor"], i // j)
add("div.Tensor_mode", [i, j, "trunc"], np.trunc(i / j).astype(np.int64))
add("div.Tensor_mode", [x, y + 100, None], out(wide(x) / wide(y + 100)))
add("div.Scalar_mode", [x, 3.0, "floor"], out(np.floor(wide(x) / 3)))
add("div.Scalar_mode", [x, 3.0, "trunc"], out(np.trunc(wide(x) / 3)))
add("floor_divide", [i, j], i // j)
add("floor_divide.Scalar", [i, 4], i // 4)
add("remainder.Scalar", [i, 4], i % 4)
add("remainder.Tensor", [i, -j], i % -j)
add("remainder.Tensor", [x, y + 100], out(np.mod(wide(x), wide(y + 100))))
add("maximum", [x, y], np.maximum(x, y))
add("minimum", [i, j], np.minimum(i, j))
add("pow.Tensor_Scalar", [x, 2], out(wide(x) ** 2))
add("pow.Tensor_Scalar", [np.abs(x) + 1, 1.5], out((np.abs(wide(x)) + 1) ** 1.5))
add("pow.Tensor_Tensor", [np.abs(x) + 1, y], out((np.abs(wide(x)) + 1) ** wide(y)))
add("square", [x], out(wide(x) ** 2))
for name, function in [("exp", np.exp), ("expm1", np.expm1), ("tanh", np.tanh), ("sin", np.sin), ("cos", np.cos),
                       ("floor", np.floor), ("ceil", np.ceil), ("round", np.round), ("abs", np.abs),
                       ("neg", np.negative)]:
    add(name, [x], out(function(wide(x))))
for name, function in [("log", np.log), ("log1p", np.log1p), ("sqrt", np.sqrt), ("rsqrt", lambda v: v ** -0.5),
                       ("reciprocal", lambda v: 1 / v)]:
    add(name, [np.abs(x) + 1], out(function(np.abs(wide(x)) + 1)))
add("abs", [i], np.abs(i))
add("neg", [i], -i)
add("erf", [x], out(np.vectorize(math.erf)(wide(x))))
add("relu", [x], np.maximum(x, 0))
add("sigmoid", [x], out(sigmoid))
add("silu", [x], out(wide(x) * sigmoid))
add("gelu", [x, "none"], out(wide(x) / 2 * (1 + np.vectorize(math.erf)(wide(x) / math.sqrt(2)))))
add("gelu", [x, "tanh"],
    out(wide(x) / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide(x) + 0.044715 * wide(x) ** 3)))))
add("clamp", [x, -1.0, 0.5], np.clip(x, -1, 0.5))
add("clamp", [x, None, 0.5], np.minimum(x, np.float32(0.5)))
add("clamp", [i, 2, None], np.maximum(i, 2))
add("clamp.Tensor", [x, row, None], np.maximum(x, row))
add("clamp_min", [x, 0.25], np.maximum(x, np.float32(0.25)))
add("clamp_max", [x, 0.25], np.minimum(x, np.float32(0.25)))
for name, function in [("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal),
                       ("gt", np.greater), ("ge", np.greater_equal)]:
    add(name + ".Tensor", [i, np.where(bits, i, j)], function(i, np.where(bits, i, j)))
    add(name + ".Scalar", [x, float(x[0, 0])], function(x, x[0, 0]))
    add(name + ".Scalar", [i, 0.5], function(i, 0.5))
add("bitwise_not", [bits], ~bits)
add("bitwise_not", [i], ~i)
add("logical_not", [i], i == 0)
add("bitwise_and.Tensor", [i, j], i & j)
add("bitwise_and.Scalar", [i, 5], i & 5)
add("bitwise_or.Tensor", [bits, others], bits | others)
add("bitwise_or.Scalar", [i, 5], i | 5)
add("logical_and", [bits, others], bits & others)
add("logical_or", [bits, others], bits | others)
add("where.self", [bits, x, row], np.where(bits, x, row))
add("where.ScalarSelf", [bits, 2.0, x], np.where(bits, np.float32(2), x))
add("where.ScalarOther", [bits, x, 2.0], np.where(bits, x, np.float32(2)))
add("where.Scalar", [bits, 1.0, 2.0], np.where(bits, np.float32(1), np.float32(2)))
add("masked_fill.Scalar", [x, bits, -1.0], np.where(bits, np.float32(-1), x))
add("masked_fill.Tensor", [x, bits, np.float32(3).reshape(())], np.where(bits, np.float32(3), x))

# -- Casts and copies ---------------------------------------------------------

add("to.dtype", [x, LONG, False, False, None], np.trunc(x).astype(np.int64))
add("to.dtype", [x, BOOL, False, False, None], x != 0)
add("to.dtype_layout", [bits, FLOAT, None, None, None, False, False, None], bits.astype(np.float32))
add("to.device", [x, "cpu", FLOAT, False, False, None], x)
add("to.other", [i, x, False, False, None], i.astype(np.float32))
add("type_as", [i, x], i.astype(np.float32))
add("_to_copy", [i, INT, None, None, None, False, None], i.astype(np.int32))
cases.add("prims.convert_element_type", [i, FLOAT], i.astype(np.float32))
for name in ("clone", "contiguous", "alias", "detach", "lift_fresh_copy"):
    add(name, [x, 0] if name in ("clone", "contiguous") else [x], x)
add("dropout", [x, 0.5, False], x)

# -- Shapes -------------------------------------------------------------------

z = f(2, 3, 4)
for name in ("view", "reshape", "_unsafe_view"):
    add(name, [z, [-1, 4]], z.reshape(6, 4))
    add(name, [z, [2, 12]], z.reshape(2, 12), dynamic=False)
add("flatten.using_ints", [z, 0, 1], z.reshape(6, 4))
add("unsqueeze", [x, -1], x[..., None])
add("unsqueeze", [x, 1], x[:, None])
add("squeeze.dim", [x[:, None], 1], x, dynamic=False)
add("squeeze.dim", [x, 1], x, dynamic=False)
add("permute", [z, [2, 0, -2]], z.transpose(2, 0, 1))
add("transpose.int", [z, -1, 0], z.swapaxes(2, 0))
add("t", [x], x.T)
add("expand", [x[:, :1], [3, 5], False], np.repeat(x[:, :1], 5, 1), dynamic=False)
add("expand", [row, [2, -1], False], np.broadcast_to(row, (2, 4)))
add("broadcast_to", [row, [3, 4]], np.broadcast_to(row, (3, 4)), dynamic=False)
add("slice.Tensor", [z, 1, 1, 3, 1], z[:, 1:3])
add("slice.Tensor", [z, -1, 1, 2**63 - 1, 2], z[..., 1::2])
add("slice.Tensor", [z, 2, None, -1, 1], z[..., :-1])
add("select.int", [z, 1, 2], z[:, 2])
add("select.int", [z, 1, -1], z[:, -1], dynamic=False)
add("cat", [[x, y, x], 1], np.concatenate([x, y, x], 1))

# -- Products and reductions --------------------------------------------------

w, stack = f(4, 5), f(2, 4, 5)
product = wide(x) @ wide(w)
for name in ("mm", "matmul"):
    add(name, [x, w], out(product))
for name in ("bmm", "matmul"):
    add(name, [z, stack], out(wide(z) @ wide(stack)))
add("matmul", [z, w], out(wide(z) @ wide(w)))
bias = f(5)
add("linear", [z, np.ascontiguousarray(w.T), None], out(wide(z) @ wide(w)))
add("linear", [x, np.ascontiguousarray(w.T), bias], out(product + bias))
add("addmm", [bias, x, w, 1, 1], out(product + bias))
add("sum.dim_IntList", [z, [-1, 0], False, None], out(wide(z).sum((0, 2))))
add("sum.dim_IntList", [z, [1], True, None], out(wide(z).sum(1, keepdims=True)))
add("sum.dim_IntList", [bits, [1], False, None], bits.sum(1))
add("sum", [i, None], i.sum())
add("mean.dim", [z, [2], True, None], out(wide(z).mean(2, keepdims=True)))
add("amax", [z, [0, 2], False], z.max((0, 2)))
add("amax", [i, [1], True], i.max(1, keepdims=True))
add("max.dim", [x, 1, True], [x.max(1, keepdims=True), x.argmax(1, keepdims=True)], dynamic=False)
add("argmax", [x, -1, False], x.argmax(1), dynamic=False)
power = np.exp(wide(x) - wide(x).max(1, keepdims=True))
add("_softmax", [x, 1, False], out(power / power.sum(1, keepdims=True)))
add("softmax.int", [x, -1, None], out(power / power.sum(1, keepdims=True)))
add("cumsum", [i, 0, None], i.cumsum(0))
add("cumsum", [x, 1, None], out(wide(x).cumsum(1)))

# -- Indexing -----------------------------------------------------------------

distinct = random.permutation(24).reshape(3, 8).astype(np.float32)
best = np.argsort(-distinct, 1)
add("topk", [distinct, 3, -1, True, True],
    [np.take_along_axis(distinct, best[:, :3], 1), best[:, :3]], dynamic=False)
add("sort", [distinct, 1, True], [np.take_along_axis(distinct, best, 1), best], dynamic=False)
ids = np.array([3, 1, 3, 0, 1, 2, 3], np.int64)
order = np.argsort(ids, kind="stable")
add("sort", [ids, 0, False], [ids[order], order])
places, pairs = np.array([2, 0, -1, 1], np.int64), np.array([0, 3, 1, -4], np.int64)
for name in ("index.Tensor", "index.Tensor_hacked_twin"):
    add(name, [x, [places]], x[places])
    add(name, [x, [places, pairs]], x[places, pairs])
    add(name, [x, [None, pairs]], x[:, pairs])
add("index_select", [z, 1, places], z[:, places])
add("embedding", [x, np.array([[2, 0], [1, 1]], np.int64), -1, False, False], x[[[2, 0], [1, 1]]])
columns = integers(0, 4, 3, 2)
columns[:, 1] = (columns[:, 0] + 1) % 4
add("gather", [x, 1, columns, False], np.take_along_axis(x, columns, 1))
scattered, one, sums = x.copy(), x.copy(), wide(x)
updates = f(3, 2)
np.put_along_axis(scattered, columns, updates, 1)
np.put_along_axis(one, columns, np.float32(1), 1)
for r in range(3):
    for c in range(2):
        sums[r, columns[r, c]] += updates[r, c]
add("scatter.src", [x, 1, columns, updates], scattered)
add("scatter.value", [x, 1, columns, 1], one)
add("scatter_add", [x, 1, columns, updates], out(sums))
put, added, rows = x.copy(), wide(x), f(2, 4)
put[[2, 0]] = rows
added[[2, 0]] += rows
for name in ("index_put", "index_put.hacked_twin"):
    add(name, [x, [np.array([2, 0], np.int64)], rows, False], put)
    add(name, [x, [np.array([2, 0], np.int64)], rows, True], out(added))
add("one_hot", [ids, 5], np.eye(5, dtype=np.int64)[ids])

# -- New tensors --------------------------------------------------------------

nones = [None, None, None, False]
add("full", [[2, 3], 1.5, *nones], np.full((2, 3), 1.5, np.float32), dynamic=False)
add("full_like", [x, 7, *nones, None], np.full((3, 4), 7, np.float32))
add("zeros", [[2, 3], *nones], np.zeros((2, 3), np.float32), dynamic=False)
add("ones", [[2, 3], *nones], np.ones((2, 3), np.int64), dynamic=False)
add("zeros_like", [x, *nones, None], np.zeros((3, 4), np.float32))
add("ones_like", [x, *nones, None], np.ones((3, 4), np.float32))
add("empty_like", [x, *nones, None], np.zeros((3, 4), np.float32))
add("empty.memory_format", [[2], *nones, None], np.zeros(2, np.float32), dynamic=False)
add("new_zeros", [x, [2], *nones], np.zeros(2, np.float32), dynamic=False)
add("new_ones", [x, [2], *nones], np.ones(2, np.float32), dynamic=False)
add("arange", [5, *nones], np.arange(5), dynamic=False)
add("arange.start", [2, 7, *nones], np.arange(2, 7), dynamic=False)
add("arange.start_step", [2, 7, 1, *nones], np.arange(2, 7), dynamic=False)
add("scalar_tensor", [-2.5, FLOAT, None, None, None], np.array(-2.5, np.float32), dynamic=False)
cases.add("prim.NumToTensor.Scalar", [7], np.array(7, np.int64), dynamic=False)

# -- Custom operators ---------------------------------------------------------

sorted_ids = np.sort(ids).astype(np.float32)
counts = np.bincount(ids, minlength=4)
histogram = [sorted_ids, 4, 0, 3]
cases.add("operator", histogram, counts.astype(np.float32), name="torch.aten.histc")
add("histc", [np.array([-1, 0, 0.5, 1, 2, 2.5, 4, 5], np.float32), 4, 0, 4],
    np.histogram([-1, 0, 0.5, 1, 2, 2.5, 4, 5], 4, (0, 4))[0].astype(np.float32))
groups, matrices = f(7, 4), f(4, 4, 5)
grouped = np.stack([wide(groups)[n] @ wide(matrices)[np.sort(ids)[n]] for n in range(7)])
ends = counts.cumsum().astype(np.int32)
cases.add("operator", [groups, matrices, ends], out(grouped), dynamic=False,
          name="torch.transformers.grouped_mm_fallback")
add("_grouped_mm", [groups, matrices, ends, None, None], out(grouped), dynamic=False)


def experts(x, ids, weights, up, down, up_bias, down_bias, function, interleaved, transposed):
    y = np.zeros((len(x), down.shape[2 if transposed else 1]))
    for t in range(len(x)):
        for s, e in enumerate(ids[t]):
            h = wide(x[t]) @ (wide(up[e]) if transposed else wide(up[e]).T)
            h = h + (0 if up_bias is None else up_bias[e])
            gate, value = (h[::2], h[1::2]) if interleaved else np.split(h, 2)
            h = function(gate, value) @ (wide(down[e]) if transposed else wide(down[e]).T)
            y[t] += wide(weights[t, s]) * (h + (0 if down_bias is None else down_bias[e]))
    return out(y)


def silu(v, alpha=1):
    return v / (1 + np.exp(-alpha * v))


def clamped(gate, value):
    return silu(np.minimum(gate, 2), 1.25) * (np.clip(value, -2, 2) + 1)


def tanh_gelu(v):
    return v / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)))


tokens, weights = f(5, 4), f(5, 2)
chosen = np.stack([random.permutation(3)[:2] for _ in range(5)]).astype(np.int64)
up, down = f(3, 6, 4), f(3, 4, 3)
upT, downT = np.ascontiguousarray(up.swapaxes(1, 2)), np.ascontiguousarray(down.swapaxes(1, 2))
up_bias, down_bias = f(3, 6), f(3, 4)
erf = np.vectorize(math.erf)
for name, function in [("silu", silu), ("MixtralExperts", silu), ("relu", lambda v: np.maximum(v, 0)),
                       ("relu2", lambda v: np.maximum(v, 0) ** 2), ("tanh", np.tanh), ("identity", lambda v: v),
                       ("quick_gelu", lambda v: silu(v, 1.702)), ("gelu_tanh", tanh_gelu),
                       ("gelu", lambda v: v / 2 * (1 + erf(v / math.sqrt(2))))]:
    expected = experts(tokens, chosen, weights, up, down, None, None, lambda g, v: function(g) * v, False, False)
    cases.add("operator", [tokens, chosen, weights, up, down, None, None, name, True, False, False], expected,
              dynamic=False, name="torch.moe_mlir.exported_experts")
for interleaved in (False, True):
    for transposed in (False, True):
        matrices = [upT, downT] if transposed else [up, down]
        cases.add("operator", [tokens, chosen, weights, *matrices, up_bias, down_bias, "clamped_swiglu:1.25:2:1", True,
                               interleaved, transposed],
                  experts(tokens, chosen, weights, *matrices, up_bias, down_bias, clamped, interleaved, transposed),
                  dynamic=False, name="torch.moe_mlir.experts")

failures = cases.run(tolerance=1e-6)

# -- Nothing is left out ------------------------------------------------------

tables = "".join(open(os.path.join(source, "lib", "Raise", "Foreign", name)).read()
                 for name in os.listdir(os.path.join(source, "lib", "Raise", "Foreign")) if name.startswith("Torch"))
named = {"aten." + name for name in re.findall(r'(?<!\.)\badd\(\s*"([\w.]+)"', tables)}
named |= {name + kind for name in re.findall(r'\bboth\(\s*"(\w+)"', tables) for name in ["aten." + name]
          for kind in (".Tensor", ".Scalar")}
named |= {name for name in re.findall(r'table\.add\("torch\.([\w.]+)"', tables)}
# torch.test has these.
read_otherwise = {"vtensor.literal", "prim.ListUnpack", "aten.mul.int", "aten.add.int", "aten.sub.int"}
missing = named - cases.covered - read_otherwise
if len(named) < 60 or missing:
    failures.append(f"of {len(named)} operators of the tables have no case here: {sorted(missing)}")
for failure in failures:
    print(failure)
sys.exit(bool(failures))
