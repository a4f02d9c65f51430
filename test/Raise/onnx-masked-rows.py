# y[mask] = rows as PyTorch's exporter by tracing writes it, element by element:
# against NumPy. Rows of another mask, or of another width, stay as they are.
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
random = np.random.default_rng(6)
B, S, H = 2, 5, 4
x = (np.round(random.normal(size=(B, S, H)) * 64) / 32).astype(np.float32)
mask = random.integers(0, 2, (B, S)).astype(np.int64)
other = 1 - mask
ints, floats, bools = "tensor<*xi64>", "tensor<*xf32>", "tensor<*xi1>"


def op(result, name, inputs, types, attributes="", out=floats):
    return f'  %{result} = "onnx.{name}"({inputs}) {{{attributes}}} : ({types}) -> {out}\n'


def convert(b, s, written="mask", width=H):
    whole, places = f"tensor<{b}x{s}x{H}xf32>", f"tensor<{b}x{s}xi64>"
    text = (f'func.func @f(%x: {whole} {{moe.name = "x"}}, %mask: {places} {{moe.name = "mask"}}, %other: {places} {{moe.name = "other"}}) '
            f'-> ({whole} {{moe.name = "y"}}) {{\n'
            "  %zero = arith.constant dense<0> : tensor<i64>\n  %zero1 = arith.constant dense<0> : tensor<1xi64>\n"
            f"  %last = arith.constant dense<-1> : tensor<1xi64>\n  %width = arith.constant dense<{width}> : tensor<1xi64>\n"
            # The rows, negated.
            + op("nz", "NonZero", "%mask", places, "", ints)
            + op("t", "Transpose", "%nz", ints, "perm = array<i64: 1, 0>", ints)
            + op("rows", "GatherND", "%x, %t", f"{whole}, {ints}")
            + op("part", "Slice", "%rows, %zero1, %width, %last", f"{floats}, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>")
            + op("negative", "Neg", "%part", floats)
            # The mask in the shape of x.
            + op("wide", "Unsqueeze", f"%{written}, %last", f"{places}, tensor<1xi64>", "", ints)
            + op("shape", "Shape", "%x", whole, "", "tensor<3xi64>")
            + op("all", "Expand", "%wide, %shape", f"{ints}, tensor<3xi64>", "", ints)
            + op("nz3", "NonZero", "%all", ints, "", ints)
            + op("t3", "Transpose", "%nz3", ints, "perm = array<i64: 1, 0>", ints)
            + op("flat", "Reshape", "%negative, %last", f"{floats}, tensor<1xi64>")
            + op("size", "Shape", "%t3", ints, "", ints)
            + op("count", "Gather", "%size, %zero", f"{ints}, tensor<i64>", "axis = 0 : i64", ints)
            + op("end", "Unsqueeze", "%count, %zero1", f"{ints}, tensor<1xi64>", "", ints)
            + op("updates", "Slice", "%flat, %zero1, %end, %zero1", f"{floats}, tensor<1xi64>, {ints}, tensor<1xi64>")
            + op("written", "ScatterND", "%x, %t3, %updates", f"{whole}, {ints}, {floats}")
            + f"  %r = tensor.cast %written : {floats} to {whole}\n  return %r : {whole}\n}}\n")
    path = os.path.join(folder, "rows.mlir")
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run(["moe-opt", "--allow-unregistered-dialect", "--moe-convert-foreign", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


expected = np.where(mask[..., None] != 0, -x, x)
paths = [os.path.join(folder, name) for name in ("upstream.mlir", "in.safetensors", "out.safetensors")]
for b, s in ((B, S), (1, "?")):
    text = convert(b, s)
    assert "onnx." not in text and "raise_" not in text, text
    with open(paths[0], "w") as file:
        file.write(text)
    save(paths[1], {"x": x[:b], "mask": mask[:b], "other": other[:b]})
    subprocess.run(["moe-interpret", paths[0], "--inputs=" + paths[1], "-o", paths[2]], check=True)
    got = load(paths[2])["y"]
    assert np.array_equal(got, expected[:b]), (b, s, got, expected[:b])

for given in ({"written": "other"}, {"width": 2}):
    for b, s in ((B, S), (1, "?")):
        text = convert(b, s, **given)
        assert text.count('"onnx.NonZero"') == 2 and "raise_" not in text, (given, b, s, text)
