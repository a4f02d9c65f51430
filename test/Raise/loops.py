# Loops over experts as ONNX has them, unrolled: however places are ordered and
# rows are put back, with sizes that are known or not, they are a layer. Against
# NumPy.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from raised import Checker

random = np.random.default_rng(9)
T, K, E, H = 6, 2, 4, 8
floats, ints, one = "tensor<*xf32>", "tensor<*xi64>", "tensor<1xi64>"


def f(*shape):
    return (np.round(random.normal(size=shape) * 64) / 96).astype(np.float32)


tensors = {"x": f(T, H), "router": f(H, E), "other": f(H, E), **{f"m{e}": f(H, H) for e in range(E)}}
wide = {name: array.astype(np.float64) for name, array in tensors.items()}


def choose(name):
    z = wide["x"] @ wide[name]
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    ids = np.argsort(-p, kind="stable")[:, :K]
    return np.take_along_axis(p, ids, 1), ids


def write(tokens, order, put, masked="router"):
    """`order` of a mask's places, "kt" or "tk"; `put` adds rows, or writes them to zeros that are added."""
    lines, x = [], f"tensor<{tokens}x{H}xf32>"

    def op(result, name, inputs, types, attributes="", out=floats):
        lines.append(f'%{result} = "onnx.{name}"({inputs}) {{{attributes}}} : ({types}) -> {out}')

    def constant(name, value, kind):
        lines.append(f"%{name} = arith.constant dense<{value}> : tensor<{kind}>")

    for name, value, kind in (("halves", 1, "2xi64"), ("last", -1, "1xi64"), ("k", K, "1xi64"), ("depth", E, "i64"),
                              ("onoff", "[0, 1]", "2xi64"), ("zero", 0.0, "1xf32"), *((f"e{e}", e, "i64") for e in range(E))):
        constant(name, value, kind)
    for name in {"router", masked}:
        op(f"z_{name}", "MatMul", f"%x, %{name}", f"{x}, tensor<{H}x{E}xf32>")
        op(f"p_{name}", "Softmax", f"%z_{name}", floats, "axis = -1 : i64")
        lines.append(f'%w_{name}, %i_{name} = "onnx.TopK"(%p_{name}, %k) {{axis = -1 : i64, largest = 1 : i64, '
                     f"sorted = 1 : i64}} : ({floats}, {one}) -> ({floats}, {ints})")
    op("hot", "OneHot", f"%i_{masked}, %depth, %onoff", f"{ints}, tensor<i64>, tensor<2xi64>", "axis = -1 : i64", ints)
    op("mask", "Transpose", "%hot", ints, f"perm = array<i64: {'2, 1, 0' if order == 'kt' else '2, 0, 1'}>", ints)
    op("shape", "Shape", "%x", x, "", "tensor<2xi64>")
    op("sum-1", "Expand", "%zero, %shape", "tensor<1xf32>, tensor<2xi64>")
    for e in range(E):
        op(f"one{e}", "Gather", f"%mask, %e{e}", f"{ints}, tensor<i64>", "axis = 0 : i64", ints)
        op(f"nz{e}", "NonZero", f"%one{e}", ints, "", ints)
        op(f"t{e}", "Transpose", f"%nz{e}", ints, "perm = array<i64: 1, 0>", ints)
        parts = [f"%slot{e}", f"%token{e}"]
        lines.append(f'{", ".join(parts if order == "kt" else parts[::-1])} = "onnx.Split"(%t{e}, %halves) '
                     f"{{axis = 1 : i64}} : ({ints}, tensor<2xi64>) -> ({ints}, {ints})")
        op(f"rows{e}", "GatherND", f"%x, %token{e}", f"{x}, {ints}")
        op(f"h{e}", "MatMul", f"%rows{e}, %m{e}", f"{floats}, tensor<{H}x{H}xf32>")
        op(f"a{e}", "Tanh", f"%h{e}", floats)
        op(f"place{e}", "Concat", f"%token{e}, %slot{e}", f"{ints}, {ints}", "axis = -1 : i64", ints)
        op(f"f{e}", "GatherND", f"%w_router, %place{e}", f"{floats}, {ints}")
        op(f"g{e}", "Unsqueeze", f"%f{e}, %last", f"{floats}, {one}")
        op(f"y{e}", "Mul", f"%a{e}, %g{e}", f"{floats}, {floats}")
        if put == "add":
            op(f"sum{e}", "ScatterND", f"%sum{e - 1}, %token{e}, %y{e}", f"{floats}, {ints}, {floats}", 'reduction = "add"')
        else:
            op(f"own{e}", "ScatterND", f"%sum-1, %token{e}, %y{e}", f"{floats}, {ints}, {floats}")
            op(f"sum{e}", "Add", f"%sum{e - 1}, %own{e}", f"{floats}, {floats}")
    lines.append(f"%r = tensor.cast %sum{E - 1} : {floats} to {x}\nreturn %r : {x}")
    arguments = [f'%{name}: {x if name == "x" else "tensor<" + "x".join(map(str, a.shape)) + "xf32>"} {{moe.name = "{name}"}}'
                 for name, a in tensors.items()]
    return f"func.func @f({', '.join(arguments)}) -> ({x} {{moe.name = \"y\"}}) {{\n" + "\n".join(lines).replace("sum-1", "start") + "\n}\n"


checker = Checker(sys.argv[1])
rung2 = f"{E} experts, {K} of them a token; rung 2: #moe.top_k<{K}>\n"
for tokens, order, put, masked, said in (
        [(t, o, p, "router", rung2) for t in (T, "?") for o in ("kt", "tk") for p in ("add", "copy")]
        # Places of one router and weights of another.
        + [(t, "kt", "add", "other", "rung 1: experts and weights as they are") for t in (T, "?")]):
    weights, _ = choose("router")
    _, ids = choose(masked)
    expected = sum(np.tanh(np.einsum("th,thi->ti", wide["x"], np.stack([wide[f"m{e}"] for e in ids[:, s]])))
                   * weights[:, s:s + 1] for s in range(K))
    checker.check(f"{order}-{put}-{masked}-{'dynamic' if tokens == '?' else 'static'}", write(tokens, order, put, masked),
                  tensors, expected, said, found=["moe.combine"], absent=["linalg.index"])
print("%d failures" % checker.failures)
sys.exit(checker.failures != 0)
