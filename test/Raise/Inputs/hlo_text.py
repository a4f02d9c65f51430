"""StableHLO in generic form, op by op, as JAX writes it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from one_op import literal, tensor_type

import numpy as np


class Function:
    """Values are (name, shape, element type)."""

    def __init__(self, name):
        self.name, self.arguments, self.lines = name, [], []

    def _type(self, value):
        return "tensor<" + "".join(f"{n}x" for n in value[1]) + value[2] + ">"

    def argument(self, name, shape):
        value = ("%" + name, tuple(shape), "f32")
        self.arguments.append(f'{value[0]}: {self._type(value)} {{moe.name = "{name}"}}')
        return value

    def op(self, op, inputs, shape, element="f32", properties="", region=""):
        value = (f"%v{len(self.lines)}", tuple(shape), element)
        types = ", ".join(map(self._type, inputs))
        self.lines.append(f'{value[0]} = "stablehlo.{op}"({", ".join(i[0] for i in inputs)}) <{{{properties}}}>'
                          f'{f" ({{{region}}})" if region else ""} : ({types}) -> {self._type(value)}')
        return value

    def constant(self, array):
        value = (f"%v{len(self.lines)}", array.shape, tensor_type(array).rsplit("x", 1)[-1][:-1].replace("tensor<", ""))
        self.lines.append(f"{value[0]} = {literal(array)}")
        return value

    def spread(self, value, shape, dims):
        return self.op("broadcast_in_dim", [value], shape, value[2], f"broadcast_dimensions = {ints(dims)}")

    def number(self, number, shape, dtype=np.float32):
        return self.spread(self.constant(np.full((), number, dtype)), shape, [])

    def slice(self, value, start, limit):
        return self.op("slice", [value], [b - a for a, b in zip(start, limit)], value[2],
                       f"start_indices = {ints(start)}, limit_indices = {ints(limit)}, strides = {ints([1] * len(start))}")

    def dot(self, a, b):
        return self.op("dot_general", [a, b], (a[1][0], b[1][1]), properties="dot_dimension_numbers = #stablehlo.dot<"
                       "lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>")

    def binary(self, op, a, b):
        return self.op(op, [a, b], a[1], a[2])

    def unary(self, op, a):
        return self.op(op, [a], a[1], a[2])

    def compare(self, a, b, direction="EQ"):
        return self.op("compare", [a, b], a[1], "i1", "compare_type = #stablehlo<comparison_type SIGNED>, "
                       f"comparison_direction = #stablehlo<comparison_direction {direction}>")

    def reduce(self, op, value, init, dims):
        element = f"tensor<{value[2]}>"
        region = (f"\n^bb0(%a: {element}, %b: {element}):\n  %c = \"stablehlo.{op}\"(%a, %b) : ({element}, {element}) -> "
                  f"{element}\n  \"stablehlo.return\"(%c) : ({element}) -> ()\n")
        shape = [n for d, n in enumerate(value[1]) if d not in dims]
        return self.op("reduce", [value, self.constant(np.asarray(init))], shape, value[2], f"dimensions = {ints(dims)}", region)

    def softmax(self, z):
        top = self.reduce("maximum", z, np.float32(-np.inf), [1])
        power = self.unary("exponential", self.binary("subtract", z, self.spread(top, z[1], [0])))
        return self.binary("divide", power, self.spread(self.reduce("add", power, np.float32(0), [1]), z[1], [0]))

    def top_k(self, z, k):
        i = len(self.lines)
        shape = (z[1][0], k)
        best, places = (f"%v{i}#0", shape, "f32"), (f"%v{i}#1", shape, "i32")
        self.lines.append(f'%v{i}:2 = "chlo.top_k"({z[0]}) <{{k = {k} : i64}}> : ({self._type(z)}) -> '
                          f"({self._type(best)}, {self._type(places)})")
        return best, places

    def silu(self, h):
        one = self.number(1, h[1])
        return self.binary("multiply", h, self.binary("divide", one, self.binary(
            "add", one, self.unary("exponential", self.unary("negate", h)))))

    def text(self, result):
        return (f'func.func @{self.name}({", ".join(self.arguments)}) -> ({self._type(result)} {{moe.name = "y"}}) {{\n'
                + "\n".join(self.lines) + f"\nreturn {result[0]} : {self._type(result)}\n}}\n")


def ints(values):
    return "array<i64" + (": " if values else "") + ", ".join(map(str, values)) + ">"
