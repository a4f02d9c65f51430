# Each op of StableHLO and CHLO that has an entry in a table, by running it,
# against NumPy.
#
# REQUIRES: python-numpy
# RUN: %python %s %t %moe_src

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from one_op import load, save, tensor_type

import numpy as np

folder, source = sys.argv[1], sys.argv[2]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(3)
lines, arguments, inputs, wanted, covered = [], [], {}, [], set()


def f(*shape):
    return np.round(random.normal(size=shape) * 64).astype(np.float32) / 32


def integers(low, high, *shape):
    return random.integers(low, high, shape).astype(np.int64)


def add(op, given, expected, properties="", region="", result=None):
    """`expected` are the results; `properties` and `region` text of the op."""
    expected = expected if isinstance(expected, list) else [expected]
    case, names, types = len(wanted), [], []
    for i, array in enumerate(given):
        name = f"c{case}_{i}"
        names.append("%" + name)
        types.append(tensor_type(array))
        arguments.append(f'%{name}: {types[-1]} {{moe.name = "{name}"}}')
        inputs[name] = array
    covered.add(op)
    outs = ", ".join(result or [tensor_type(e) for e in expected])
    more = f" ({{{region}}})" if region else ""
    lines.append(f'%r{case}:{len(expected)} = "{op}"({", ".join(names)}) <{{{properties}}}>{more} : '
                 f'({", ".join(types)}) -> ({outs})')
    wanted.append((op, expected, properties))


def binary(op, element):
    return (f'\n^bb0(%a: tensor<{element}>, %b: tensor<{element}>):\n'
            f'  %c = "stablehlo.{op}"(%a, %b) : (tensor<{element}>, tensor<{element}>) -> tensor<{element}>\n'
            f'  "stablehlo.return"(%c) : (tensor<{element}>) -> ()\n')


def ints(*values):
    return "array<i64" + (": " if values else "") + ", ".join(map(str, values)) + ">"


def wide(a):
    return a.astype(np.float64)


def out(a):
    return np.asarray(a, np.float64).astype(np.float32)


x, y, small = f(3, 4), f(3, 4), f(3, 4) / 8
i, j = integers(-9, 9, 3, 4), integers(1, 5, 3, 4)
p, q = x > 0, y > 0

# -- Elementwise --------------------------------------------------------------

for name, function in [("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply),
                       ("maximum", np.maximum), ("minimum", np.minimum)]:
    add("stablehlo." + name, [x, y], out(function(wide(x), wide(y))))
    add("stablehlo." + name, [i, j], function(i, j))
add("stablehlo.divide", [x, y + 100], out(wide(x) / wide(y + 100)))
add("stablehlo.divide", [i, j], np.trunc(i / j).astype(np.int64))
add("stablehlo.remainder", [i, j], np.fmod(i, j))
add("stablehlo.remainder", [x, y + 100], out(np.fmod(wide(x), wide(y + 100))))
add("stablehlo.power", [np.abs(x) + 1, small], out((np.abs(wide(x)) + 1) ** wide(small)))
for name, function in [("exponential", np.exp), ("exponential_minus_one", np.expm1), ("tanh", np.tanh), ("cosine", np.cos),
                       ("sine", np.sin), ("floor", np.floor), ("ceil", np.ceil), ("round_nearest_even", np.rint),
                       ("abs", np.abs), ("negate", np.negative), ("sign", np.sign),
                       ("logistic", lambda v: 1 / (1 + np.exp(-v)))]:
    add("stablehlo." + name, [small], out(function(wide(small))))
for name, function in [("log", np.log), ("sqrt", np.sqrt), ("log_plus_one", np.log1p), ("rsqrt", lambda v: v ** -0.5)]:
    add("stablehlo." + name, [np.abs(x) + 1], out(function(np.abs(wide(x)) + 1)))
add("stablehlo.abs", [i], np.abs(i))
add("stablehlo.negate", [i], -i)
add("stablehlo.sign", [i], np.sign(i))
add("stablehlo.sign", [np.array([0.0, -0.0, np.nan, -np.inf], np.float32)], np.array([0.0, -0.0, np.nan, -1], np.float32))
erf = np.array([0.0, 0.5204998778130465, 0.8427007929497149, -0.8427007929497149], np.float32)
add("chlo.erf", [np.array([0, 0.5, 1, -1], np.float32)], erf)
for name, function in [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)]:
    add("stablehlo." + name, [p, q], function(p, q))
add("stablehlo.and", [i, j], i & j)
add("stablehlo.not", [p], ~p)
add("stablehlo.not", [i], ~i)
for name, function in [("EQ", np.equal), ("NE", np.not_equal), ("LT", np.less), ("LE", np.less_equal),
                       ("GT", np.greater), ("GE", np.greater_equal)]:
    for a, b, kind in [(np.round(x), np.round(y), "FLOAT"), (i, j, "SIGNED")]:
        add("stablehlo.compare", [a, b], function(a, b),
            f"compare_type = #stablehlo<comparison_type {kind}>, comparison_direction = #stablehlo<comparison_direction {name}>")
add("stablehlo.select", [p, x, y], np.where(p, x, y))
low, high = np.float32(-0.5), np.float32(0.75)
add("stablehlo.clamp", [np.full((), low), x, np.full((), high)], np.clip(x, low, high))
add("stablehlo.convert", [x], np.trunc(x).astype(np.int64))
add("stablehlo.convert", [i], i.astype(np.float32))
add("stablehlo.convert", [i], i != 0)
add("stablehlo.convert", [p], p.astype(np.int64))
add("stablehlo.constant", [], np.array([1.5, -2], np.float32), "value = dense<[1.5, -2.0]> : tensor<2xf32>")
add("stablehlo.optimization_barrier", [x, i], [x, i])

# -- Shapes -------------------------------------------------------------------

add("stablehlo.reshape", [x], x.reshape(2, 6))
add("stablehlo.reshape", [x], x.reshape(3, 1, 4))
add("stablehlo.reshape", [x[:1, :1]], x[0, 0].reshape(()))
add("stablehlo.broadcast_in_dim", [x], np.broadcast_to(x[:, None], (3, 2, 4)).copy(), f"broadcast_dimensions = {ints(0, 2)}")
add("stablehlo.broadcast_in_dim", [x[:, :1].copy()], np.broadcast_to(x[:, :1], (3, 5)).copy(), f"broadcast_dimensions = {ints(0, 1)}")
add("stablehlo.broadcast_in_dim", [np.full((), low)], np.full((2, 2), low), f"broadcast_dimensions = {ints()}")
z = f(2, 3, 4)
add("stablehlo.transpose", [z], np.transpose(z, (2, 0, 1)).copy(), f"permutation = {ints(2, 0, 1)}")
add("stablehlo.iota", [], np.broadcast_to(np.arange(4), (3, 4)).copy(), "iota_dimension = 1 : i64")
add("stablehlo.slice", [x], x[1:3, 0:4:2].copy(),
    f"start_indices = {ints(1, 0)}, limit_indices = {ints(3, 4)}, strides = {ints(1, 2)}")
add("stablehlo.concatenate", [x, y], np.concatenate([x, y], 1), "dimension = 1 : i64")

# -- Sums ---------------------------------------------------------------------

a, b = f(2, 3, 4), f(2, 4, 5)
add("stablehlo.dot_general", [a, b], out(wide(a) @ wide(b)),
    "dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0], "
    "lhs_contracting_dimensions = [2], rhs_contracting_dimensions = [1]>")
add("stablehlo.dot_general", [x, y], out(np.einsum("ab,cb->ac", wide(x), wide(y))),
    "dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>")
add("stablehlo.dot_general", [x, y[:, 0].copy()], out(wide(x) * wide(y)[:, :1]),
    "dot_dimension_numbers = #stablehlo.dot<lhs_batching_dimensions = [0], rhs_batching_dimensions = [0]>")
zero, least = np.full((), 0, np.float32), np.full((), -np.inf, np.float32)
add("stablehlo.reduce", [x, zero], out(wide(x).sum(1)), f"dimensions = {ints(1)}", binary("add", "f32"))
add("stablehlo.reduce", [x, least], x.max(0), f"dimensions = {ints(0)}", binary("maximum", "f32"))
add("stablehlo.reduce", [p, np.full((), True)], p.all(1), f"dimensions = {ints(1)}", binary("and", "i1"))
larger = ('\n^bb0(%a: tensor<f32>, %i: tensor<i64>, %b: tensor<f32>, %j: tensor<i64>):\n'
          '  %c = "stablehlo.compare"(%a, %b) <{comparison_direction = #stablehlo<comparison_direction GE>}> : (tensor<f32>, tensor<f32>) -> tensor<i1>\n'
          '  %v = "stablehlo.select"(%c, %a, %b) : (tensor<i1>, tensor<f32>, tensor<f32>) -> tensor<f32>\n'
          '  %k = "stablehlo.select"(%c, %i, %j) : (tensor<i1>, tensor<i64>, tensor<i64>) -> tensor<i64>\n'
          '  "stablehlo.return"(%v, %k) : (tensor<f32>, tensor<i64>) -> ()\n')
lines.append('%places = "stablehlo.iota"() <{iota_dimension = 1 : i64}> : () -> tensor<3x4xi64>')


def add_with_places(op, given, expected, properties, region, more=()):
    """The same, with the places of elements behind the first input."""
    add(op, list(given) + list(more), expected, properties, region)
    text = lines[-1].replace("%c" + str(len(wanted) - 1) + "_0", "%c" + str(len(wanted) - 1) + "_0, %places", 1)
    lines[-1] = text.replace(f": ({tensor_type(given[0])}", f": ({tensor_type(given[0])}, tensor<3x4xi64>", 1)


add_with_places("stablehlo.reduce", [x], [x.max(1), x.argmax(1)], f"dimensions = {ints(1)}", larger,
                [least, np.full((), 0, np.int64)])
total = np.cumsum(i, 0)
add("stablehlo.reduce_window", [i, np.full((), 0, np.int64)], total,
    f"window_dimensions = {ints(3, 1)}, padding = dense<[[2, 0], [0, 0]]> : tensor<2x2xi64>", binary("add", "i64"))

# -- Sorts --------------------------------------------------------------------


def comparator(direction, element):
    return (f'\n^bb0(%a: tensor<{element}>, %b: tensor<{element}>, %i: tensor<i64>, %j: tensor<i64>):\n'
            f'  %c = "stablehlo.compare"(%a, %b) <{{comparison_direction = #stablehlo<comparison_direction {direction}>}}> : (tensor<{element}>, tensor<{element}>) -> tensor<i1>\n'
            '  "stablehlo.return"(%c) : (tensor<i1>) -> ()\n')


ties = np.array([[1, 3, 3, 2], [0, 0, 0, 0], [-1, 5, -1, 5]], np.float32)
order = np.argsort(-ties, axis=1, kind="stable")
add_with_places("stablehlo.sort", [ties], [np.take_along_axis(ties, order, 1), order], "dimension = 1 : i64, is_stable = false",
                comparator("GT", "f32"))
add("chlo.top_k", [ties], [np.take_along_axis(ties, order, 1)[:, :2].copy(), order[:, :2].astype(np.int32)], "k = 2 : i64")
add("stablehlo.composite", [ties], [np.take_along_axis(ties, order, 1)[:, :3].copy(), order[:, :3].astype(np.int32)],
    'name = "chlo.top_k", composite_attributes = {k = 3 : i64}, decomposition = @ops')
row = integers(0, 3, 9)
lines.append('%row_places = "stablehlo.iota"() <{iota_dimension = 0 : i64}> : () -> tensor<9xi64>')
sorted_row = np.argsort(row, kind="stable")
add("stablehlo.sort", [row], [row[sorted_row], sorted_row], "dimension = 0 : i64, is_stable = true", comparator("LT", "i64"))
lines[-1] = lines[-1].replace("_0)", "_0, %row_places)", 1).replace(": (tensor<9xi64>)", ": (tensor<9xi64>, tensor<9xi64>)", 1)

# -- Gathers and scatters -----------------------------------------------------

table, at = f(5, 4), np.array([[4], [0], [9], [-3]], np.int64)  # clamped to 4 and 0
add("stablehlo.gather", [table, at], table[[4, 0, 4, 0]],
    "dimension_numbers = #stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], "
    f"index_vector_dim = 1>, slice_sizes = {ints(1, 4)}")
pairs = np.array([[[0, 1], [2, 3]], [[4, 0], [1, 1]]], np.int64)
add("stablehlo.gather", [table, pairs], table[pairs[..., 0], pairs[..., 1]],
    "dimension_numbers = #stablehlo.gather<collapsed_slice_dims = [0, 1], start_index_map = [0, 1], index_vector_dim = 2>, "
    f"slice_sizes = {ints(1, 1)}")
part = np.stack([table[1:3], table[3:5]])
add("stablehlo.gather", [table, np.array([[1], [7]], np.int64)], part,
    "dimension_numbers = #stablehlo.gather<offset_dims = [1, 2], start_index_map = [0], index_vector_dim = 1>, "
    f"slice_sizes = {ints(2, 4)}")
start, places, updates = f(3, 4), np.array([[0, 1], [2, 2], [0, 1], [9, 0]], np.int64), f(4)
added, written = wide(start), start.copy()
for (r, c), value in zip(places, updates):
    if r < 3:
        added[r, c] += value
        written[r, c] = value
numbers = ("scatter_dimension_numbers = #stablehlo.scatter<inserted_window_dims = [0, 1], scatter_dims_to_operand_dims = [0, 1], "
           "index_vector_dim = 1>")
second = ('\n^bb0(%a: tensor<f32>, %b: tensor<f32>):\n  "stablehlo.return"(%b) : (tensor<f32>) -> ()\n')
add("stablehlo.scatter", [start, places, updates], out(added), numbers, binary("add", "f32"))
add("stablehlo.scatter", [start, places, updates], written, numbers, second)
rows, whole = np.array([[1], [1], [0]], np.int64), f(3, 4)
added = wide(start)
for (r,), value in zip(rows, whole):
    added[r] += value
add("stablehlo.scatter", [start, rows, whole], out(added),
    "scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], "
    "scatter_dims_to_operand_dims = [0], index_vector_dim = 1>", binary("add", "f32"))
lhs, rhs, counts = f(6, 3), f(3, 3, 2), np.array([2, 0, 3], np.int64)  # the last row is nobody's
product = np.zeros((6, 2))
for r, g in enumerate([0, 0, 2, 2, 2]):
    product[r] = wide(lhs[r]) @ wide(rhs[g])
add("chlo.ragged_dot", [lhs, rhs, counts], out(product),
    "ragged_dot_dimension_numbers = #chlo.ragged_dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1], "
    "lhs_ragged_dimensions = [0], rhs_group_dimensions = [0]>")

# -- All of it ----------------------------------------------------------------

returned, types = [], []
for case, (op, expected, properties) in enumerate(wanted):
    for n, array in enumerate(expected):
        returned.append(f"%r{case}#{n}")
        types.append(f'{tensor_type(array)} {{moe.name = "y{case}_{n}"}}')
text = (f"func.func @ops({', '.join(arguments)}) -> ({', '.join(types)}) {{\n  " + "\n  ".join(lines)
        + f"\n  return {', '.join(returned)} : " + ", ".join(t.split(" ")[0] for t in types) + "\n}\n")
path = [os.path.join(folder, name) for name in ("ops.mlir", "upstream.mlir", "in.safetensors", "out.safetensors")]
with open(path[0], "w") as file:
    file.write(text)
save(path[2], inputs)
for command in (["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", "--remarks-filter=.*", path[0], "-o", path[1]],
                ["moe-interpret", path[1], "--inputs=" + path[2], "-o", path[3]]):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or (command[0] == "moe-opt" and done.stdout):
        print(command[0], done.stdout[:3000])
        sys.exit(1)
failures, got = 0, load(path[3])
for case, (op, expected, properties) in enumerate(wanted):
    for n, array in enumerate(expected):
        result = got[f"y{case}_{n}"]
        good = result.shape == array.shape and (
            np.allclose(result, array, rtol=1e-6, atol=1e-6, equal_nan=True) if array.dtype.kind == "f"
            else np.array_equal(result, array))
        if not good:
            failures += 1
            print(f"{op} <{properties}>: result {n}\n{result}\nexpected\n{array}")

# Nothing in the tables is left out.
known = set()
for name in ("StableHLO.cpp", "StableHLOIndexing.cpp"):
    with open(os.path.join(source, "lib", "Raise", "Foreign", name)) as file:
        known |= set(re.findall(r'table\.add(?:Scalar)?\(\s*"([^"]+)"', file.read()))
for op in sorted(known - covered):
    failures += 1
    print(op, "has no case")
print(f"{len(wanted)} cases, {failures} failures")
sys.exit(failures != 0)
