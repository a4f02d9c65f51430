# Products of groups of sorted rows that are exported as a product for each group
# and a Concat, against NumPy: one product, whose tensors have the sizes of all
# rows, where groups are counted; what looks alike stays several, and is right.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from one_op import load, save

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(3)
S, E, H, N = 9, 4, 3, 5
ids = np.array([3, 0, 3, 1, 1, 3, 0, 1, 1], np.int64)  # none for 2
x = (np.round(random.normal(size=(S, H)) * 64) / 32).astype(np.float32)
weights = (np.round(random.normal(size=(E, H, N)) * 64) / 32).astype(np.float32)

ints, floats, index = "tensor<*xi64>", "tensor<*xf32>", "tensor<i64>"


def model(start="0", ones="1.0", step=1, stacked=True):
    """Rows of %x in the order of %ids, times the weights of each. `start` is what
    counts begin at, `ones` what each adds, and `step` where groups begin."""
    lines = []

    def op(result, name, inputs, types, out, attributes=""):
        lines.append(f'%{result} = "onnx.{name}"({inputs}) {{{attributes}}} : ({types}) -> {out}')

    def constant(name, value, kind):
        lines.append(f"%{name} = arith.constant dense<{value}> : {kind}")
    constant("zero", 0, index)
    constant("one", 1, index)
    constant("first", 0, "tensor<1xi64>")
    constant("minus", -1, "tensor<1xi64>")
    constant("step", step, index)
    constant("none", start + ".0", f"tensor<{E}xf32>")
    constant("add", ones, "tensor<f32>")
    constant("cuts", "1", f"tensor<{E}xi64>")
    op("shape", "Shape", "%ids", "tensor<?xi64>", "tensor<1xi64>")
    lines.append('%sorted, %order = "onnx.TopK"(%ids, %shape) {largest = 0 : i64} : (tensor<?xi64>, tensor<1xi64>) '
                 f'-> ({ints}, {ints})')
    op("gathered", "Gather", "%x, %order", f"tensor<?x{H}xf32>, {ints}", floats)
    op("size", "Shape", "%sorted", ints, "tensor<1xi64>")
    op("ones", "Expand", "%add, %size", "tensor<f32>, tensor<1xi64>", floats)
    op("counts", "ScatterElements", "%none, %sorted, %ones", f"tensor<{E}xf32>, {ints}, {floats}", floats,
       'reduction = "add"')
    op("whole", "Cast", "%counts", floats, "tensor<*xi32>", "to = 6 : i64")
    op("sums", "CumSum", "%whole, %zero", f"tensor<*xi32>, {index}", "tensor<*xi32>")
    op("ends", "Cast", "%sums", "tensor<*xi32>", ints, "to = 7 : i64")
    lines.append(", ".join(f"%end_{e}" for e in range(E)) + f' = "onnx.Split"(%ends, %cuts) {{axis = 0 : i64}} '
                 f": ({ints}, tensor<{E}xi64>) -> (" + ", ".join([ints] * E) + ")")
    previous = "%zero"
    for e in range(E):
        op(f"to_{e}", "Squeeze", f"%end_{e}, %first", f"{ints}, tensor<1xi64>", ints)
        op(f"range_{e}", "Range", f"{previous}, %to_{e}, %step", f"{index if e == 0 else ints}, {ints}, {index}", ints)
        op(f"rows_{e}", "Gather", f"%gathered, %range_{e}", f"{floats}, {ints}", floats)
        constant(f"e_{e}", e if stacked else (e + 1) % E, index)
        op(f"w_{e}", "Gather", f"%w, %e_{e}", f"tensor<{E}x{H}x{N}xf32>, {index}", floats)
        op(f"y_{e}", "MatMul", f"%rows_{e}, %w_{e}", f"{floats}, {floats}", floats)
        previous = f"%to_{e}"
    op("y", "Concat", ", ".join(f"%y_{e}" for e in range(E)), ", ".join([floats] * E), floats, "axis = 0 : i64")
    lines.append(f"%r = tensor.cast %y : {floats} to tensor<?x{N}xf32>")
    body = "\n  ".join(lines)
    return (f'func.func @layer(%x: tensor<?x{H}xf32> {{moe.name = "x"}}, %ids: tensor<?xi64> {{moe.name = "ids"}}, '
            f'%w: tensor<{E}x{H}x{N}xf32> {{moe.name = "w"}}) -> (tensor<?x{N}xf32> {{moe.name = "y"}}) {{\n  '
            f"{body}\n  return %r : tensor<?x{N}xf32>\n}}\n")


paths = [os.path.join(folder, name) for name in ("layer.mlir", "upstream.mlir", "in.safetensors", "out.safetensors")]
save(paths[2], {"x": x, "ids": ids, "w": weights})


def run(text):
    with open(paths[0], "w") as file:
        file.write(text)
    subprocess.run(["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", paths[0], "-o", paths[1]], check=True)
    subprocess.run(["moe-interpret", paths[1], "--inputs=" + paths[2], "-o", paths[3]], check=True)
    with open(paths[1]) as file:
        return file.read(), load(paths[3])["y"]


order = np.argsort(ids, kind="stable")


def expected(shift=0):
    return np.stack([x[i].astype(np.float64) @ weights[(ids[i] + shift) % E] for i in order])


text, y = run(model())
assert 'raise_meaning = "groups"' in text and f"tensor<?x{N}xf32>, tensor<?x{N}xf32>" not in text, text
assert "tensor.concat" not in text, text
assert np.allclose(y, expected(), rtol=0, atol=1e-6), (y, expected())

# Weights in another order are put together.
text, y = run(model(stacked=False))
assert 'raise_meaning = "groups"' in text and "tensor.concat" in text, text
assert np.allclose(y, expected(1), rtol=0, atol=1e-6), (y, expected(1))

# Each row counts twice, of which there are not as many; what is counted begins
# at one. Both read behind the end, which is for the program to find.
for other in (model(ones="2.0"), model(start="1")):
    with open(paths[0], "w") as file:
        file.write(other)
    done = subprocess.run(["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", paths[0]],
                          stdout=subprocess.PIPE, check=True)
    assert b'"groups"' not in done.stdout and b"tensor.concat" in done.stdout

# Every other row of each.
text, y = run(model(step=2))
assert '"groups"' not in text, text
groups = [order[ids[order] == e][::2] for e in range(E)]
every_other = np.concatenate([x[g].astype(np.float64) @ weights[e] for e, g in enumerate(groups)])
assert np.allclose(y, every_other, rtol=0, atol=1e-6), (y, every_other)
