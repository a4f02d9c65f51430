# Loops over experts that are exported as a NonZero of a mask, arithmetic on the
# rows that it lists, and a scatter, for each expert: against NumPy. What is
# computed from several of the rows stays as it is.
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
random = np.random.default_rng(5)
T, K, E, H = 5, 2, 3, 4


def f(*shape):
    return (np.round(random.normal(size=shape) * 64) / 32).astype(np.float32)


x, weights, matrices = f(T, H), f(T, K), f(E, H, H)
ids = np.stack([random.permutation(E)[:K] for _ in range(T)]).astype(np.int64)
ids[ids == 2] = 1  # nobody wants expert 2, and some want expert 1 twice
mask = np.moveaxis(ids[..., None] == np.arange(E), 0, 2).swapaxes(0, 1).astype(np.int64)  # [E, K, T]


def expert(e, tokens, between="", reduction="add"):
    """The ops of one expert, without types of results, as some exporters have it."""
    def op(result, name, inputs, types, attributes="", out="tensor<*xf32>"):
        return f'  %{result}_{e} = "onnx.{name}"({inputs}) {{{attributes}}} : ({types}) -> {out}\n'
    ints, i1, floats = "tensor<*xi64>", "tensor<1xi64>", "tensor<*xf32>"
    return (op("one", "Gather", f"%mask, %e{e}", f"tensor<{E}x{K}x{tokens}xi64>, tensor<i64>", "axis = 0 : i64", ints)
            + op("nz", "NonZero", f"%one_{e}", ints, "", ints)
            + op("t", "Transpose", f"%nz_{e}", ints, "perm = array<i64: 1, 0>", ints)
            + f'  %slot_{e}, %token_{e} = "onnx.Split"(%t_{e}, %halves) {{axis = 1 : i64}} : ({ints}, tensor<2xi64>) -> ({ints}, {ints})\n'
            + op("rows", "GatherND", f"%x, %token_{e}", f"tensor<{tokens}x{H}xf32>, {ints}")
            + op("matrix", "Gather", f"%m, %e{e}", f"tensor<{E}x{H}x{H}xf32>, tensor<i64>", "axis = 0 : i64")
            + op("h", "MatMul", f"%rows_{e}, %matrix_{e}", f"{floats}, {floats}")
            + (between.format(e=e) if between else op("a", "Relu", f"%h_{e}", floats))
            + op("place", "Concat", f"%token_{e}, %slot_{e}", f"{ints}, {ints}", "axis = -1 : i64", ints)
            + op("f", "GatherND", f"%weights, %place_{e}", f"tensor<{tokens}x{K}xf32>, {ints}")
            + op("f2", "Unsqueeze", f"%f_{e}, %last", f"{floats}, {i1}")
            + op("y", "Mul", f"%a_{e}, %f2_{e}", f"{floats}, {floats}")
            + op("sum", "ScatterND", f"%sum_{e - 1}, %token_{e}, %y_{e}",
                 f"{f'tensor<{tokens}x{H}xf32>' if e == 0 else floats}, {ints}, {floats}", f'reduction = "{reduction}"'))


def convert(tokens, **given):
    text = (f'func.func @loop(%x: tensor<{tokens}x{H}xf32> {{moe.name = "x"}}, %weights: tensor<{tokens}x{K}xf32> {{moe.name = "weights"}}, '
            f'%mask: tensor<{E}x{K}x{tokens}xi64> {{moe.name = "mask"}}, %m: tensor<{E}x{H}x{H}xf32> {{moe.name = "m"}}, '
            f'%sum_-1: tensor<{tokens}x{H}xf32> {{moe.name = "start"}}) -> (tensor<{tokens}x{H}xf32> {{moe.name = "y"}}) {{\n'
            + "".join(f"  %e{e} = arith.constant dense<{e}> : tensor<i64>\n" for e in range(E))
            + "  %halves = arith.constant dense<1> : tensor<2xi64>\n  %zero1 = arith.constant dense<0> : tensor<1xi64>\n"
            + "  %last = arith.constant dense<-1> : tensor<1xi64>\n"
            + "".join(expert(e, tokens, **given) for e in range(E))
            + f"  %r = tensor.cast %sum_{E - 1} : tensor<*xf32> to tensor<{tokens}x{H}xf32>\n  return %r : tensor<{tokens}x{H}xf32>\n}}\n"
            ).replace("%sum_-1", "%start")
    path = os.path.join(folder, "loop.mlir")
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run(["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


start = f(T, H)
expected = start.astype(np.float64)
for e in range(E):
    for slot, token in zip(*np.nonzero(mask[e])):
        expected[token] += np.maximum(x[token].astype(np.float64) @ matrices[e], 0) * weights[token, slot]
paths = [os.path.join(folder, name) for name in ("upstream.mlir", "in.safetensors", "out.safetensors")]
save(paths[1], {"x": x, "weights": weights, "mask": mask, "m": matrices, "start": start})
for tokens in (T, "?"):
    text = convert(tokens)
    assert "onnx." not in text and "raise_" not in text, text
    with open(paths[0], "w") as file:
        file.write(text)
    subprocess.run(["moe-interpret", paths[0], "--inputs=" + paths[1], "-o", paths[2]], check=True)
    got = load(paths[2])["y"]
    assert np.allclose(got, expected, rtol=0, atol=1e-6), (tokens, got, expected)

floats = "tensor<*xf32>"
for between in (
        # The sum of the rows of an expert so far, the share of a row in all of
        # them, their largest, and the row that comes before.
        f'  %a_{{e}} = "onnx.CumSum"(%h_{{e}}, %e0) : ({floats}, tensor<i64>) -> {floats}\n',
        f'  %a_{{e}} = "onnx.Softmax"(%h_{{e}}) {{{{axis = 0 : i64}}}} : ({floats}) -> {floats}\n',
        f'  %q_{{e}} = "onnx.ReduceMax"(%h_{{e}}, %zero1) : ({floats}, tensor<1xi64>) -> {floats}\n'
        f'  %a_{{e}} = "onnx.Sub"(%h_{{e}}, %q_{{e}}) : ({floats}, {floats}) -> {floats}\n',
        # How many they are.
        f'  %s_{{e}} = "onnx.Shape"(%h_{{e}}) : ({floats}) -> tensor<2xi64>\n'
        f'  %n_{{e}} = "onnx.Gather"(%s_{{e}}, %e0) {{{{axis = 0 : i64}}}} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>\n'
        f'  %c_{{e}} = "onnx.Cast"(%n_{{e}}) {{{{to = 1 : i64}}}} : (tensor<i64>) -> tensor<f32>\n'
        f'  %a_{{e}} = "onnx.Div"(%h_{{e}}, %c_{{e}}) : ({floats}, tensor<f32>) -> {floats}\n'):
    for tokens in (T, "?"):
        text = convert(tokens, between=between)
        assert text.count('"onnx.NonZero"') == E and "raise_" not in text, (between, tokens, text)
