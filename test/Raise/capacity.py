# Layers whose experts have places (GShard, Switch): a router and a limit, if
# places are given to first choices in the order of tokens, then to second ones.
# Other orders stay as they are. Results are NumPy's either way.
#
# REQUIRES: python-numpy, x86-64-v3
# RUN: %python %s %t

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from raised import Checker

T, H, E, I, C = 12, 8, 4, 5, 3


class Text:
    """StableHLO in generic form."""

    def __init__(self):
        self.lines = []
        self.types = {}

    @staticmethod
    def type(shape, element):
        return "tensor<%s>" % "x".join([str(size) for size in shape] + [element])

    def op(self, name, operands, shape, element, attributes="", region=""):
        result = "%%v%d" % len(self.types)
        self.types[result] = (shape, element)
        self.lines.append("    %s = \"%s\"(%s)%s%s : (%s) -> %s" % (
            result, name, ", ".join(operands), " <{%s}>" % attributes if attributes else "", region,
            ", ".join(self.type(*self.types[o]) for o in operands), self.type(shape, element)))
        return result

    def constant(self, value, element="f32", shape=()):
        return self.op("stablehlo.constant", [], shape, element,
                       "value = dense<%s> : %s" % (value, self.type(shape, element)))

    def broadcast(self, a, shape, dims):
        return self.op("stablehlo.broadcast_in_dim", [a], shape, self.types[a][1],
                       "broadcast_dimensions = array<i64%s>" % (": " + ", ".join(map(str, dims)) if dims else ""))

    def binary(self, name, a, b):
        return self.op("stablehlo." + name, [a, b], *self.types[a])

    def compare(self, direction, a, b):
        kind = "FLOAT" if self.types[a][1] == "f32" else "SIGNED"
        return self.op("stablehlo.compare", [a, b], self.types[a][0], "i1",
                       "compare_type = #stablehlo<comparison_type %s>, comparison_direction = "
                       "#stablehlo<comparison_direction %s>" % (kind, direction))

    def convert(self, a, element):
        return self.op("stablehlo.convert", [a], self.types[a][0], element)

    def one_hot(self, a, size, element):
        """Of integers [T]: [T, size]."""
        places = self.op("stablehlo.iota", [], (T, size), "i32", "iota_dimension = 1 : i64")
        return self.convert(self.compare("EQ", self.broadcast(a, (T, size), [0]), places), element)

    def sum(self, a, dim):
        shape, element = self.types[a]
        scalar = self.type((), element)
        zero = self.constant("0.0" if element == "f32" else "0", element)
        return self.op("stablehlo.reduce", [a, zero], shape[:dim] + shape[dim + 1:], element,
                       "dimensions = array<i64: %d>" % dim,
                       "({\n    ^bb0(%%l: %s, %%r: %s):\n      %%s = \"stablehlo.add\"(%%l, %%r) : (%s, %s) -> %s\n"
                       "      \"stablehlo.return\"(%%s) : (%s) -> ()\n    })" % ((scalar,) * 6))

    def running_sum(self, a):
        shape, element = self.types[a]
        scalar = self.type((), element)
        zero = self.constant("0.0" if element == "f32" else "0", element)
        return self.op("stablehlo.reduce_window", [a, zero], shape, element,
                       "base_dilations = array<i64: 1, 1>, padding = dense<[[%d, 0], [0, 0]]> : tensor<2x2xi64>, "
                       "window_dilations = array<i64: 1, 1>, window_dimensions = array<i64: %d, 1>, "
                       "window_strides = array<i64: 1, 1>" % (T - 1, T),
                       "({\n    ^bb0(%%l: %s, %%r: %s):\n      %%s = \"stablehlo.add\"(%%l, %%r) : (%s, %s) -> %s\n"
                       "      \"stablehlo.return\"(%%s) : (%s) -> ()\n    })" % ((scalar,) * 6))

    def dot(self, a, b, shape, batch, contracting):
        lists = "lhs_batching_dimensions = %s, rhs_batching_dimensions = %s, " % batch if batch else ""
        return self.op("stablehlo.dot_general", [a, b], shape, "f32",
                       "dot_dimension_numbers = #stablehlo.dot<%slhs_contracting_dimensions = %s, "
                       "rhs_contracting_dimensions = %s>" % ((lists,) + contracting))

    def top(self, a):
        """The best of each row and its value, [T] and [T]."""
        result = "%%v%d" % len(self.types)
        self.types[result] = None
        self.lines.append("    %s:2 = \"chlo.top_k\"(%s) <{k = 1 : i64}> : (%s) -> (%s, %s)" % (
            result, a, self.type(*self.types[a]), self.type((T, 1), "f32"), self.type((T, 1), "i32")))
        parts = []
        for i, element in enumerate(["f32", "i32"]):
            self.types[result + "#%d" % i] = ((T, 1), element)
            parts.append(self.op("stablehlo.reshape", [result + "#%d" % i], (T,), element))
        return parts[1], parts[0]


def write(element, choices, order, limits, put):
    """`order[j]` says of whom all tokens come before choice j."""
    t = Text()
    arguments = {"%x": (T, H), "%p": (T, E), "%up": (E, H, I), "%down": (E, I, H)}
    for name, shape in arguments.items():
        t.types[name] = (shape, "f32")
    scores, ids, masks, values = "%p", [], [], []
    for j in range(choices):
        best, value = t.top(scores)
        ids.append(best)
        values.append(value)
        masks.append(t.one_hot(best, E, element))
        low = t.constant("0xFF800000", "f32", (T, E))
        is_first = t.compare("EQ", t.broadcast(best, (T, E), [0]),
                             t.op("stablehlo.iota", [], (T, E), "i32", "iota_dimension = 1 : i64"))
        scores = t.op("stablehlo.select", [is_first, low, scores], (T, E), "f32")
    number = (lambda v: "%d.0" % v) if element == "f32" else str
    taken = puts = None
    for j in range(choices):
        position = t.binary("subtract", t.running_sum(masks[j]), masks[j])
        for other in order[j]:
            position = t.binary("add", position, t.broadcast(t.sum(masks[other], 0), (T, E), [1]))
        kept = t.compare("LT", position, t.constant(number(limits[j]), element, (T, E)))
        mask = t.binary("multiply", masks[j], t.convert(kept, element))
        place = t.sum(t.binary("multiply", position, mask), 1)
        if element == "f32":
            place = t.convert(place, "i32")
        slot = t.broadcast(t.one_hot(place, C, "f32"), (T, E, C), [0, 2])
        mask = mask if element == "f32" else t.convert(mask, "f32")
        there = t.binary("multiply", t.broadcast(mask, (T, E, C), [0, 1]), slot)
        weight = t.sum(t.binary("multiply", "%p", mask), 1)
        weighted = t.binary("multiply", there, t.broadcast(weight, (T, E, C), [0]))
        taken = t.binary("add", taken, weighted) if taken else weighted
        if put == "all" or j == 0:
            puts = t.binary("add", puts, there) if puts else there
    rows = t.dot(puts, "%x", (E, C, H), None, ("[0]", "[0]"))
    h = t.dot(rows, "%up", (E, C, I), ("[0]", "[0]"), ("[2]", "[1]"))
    h = t.binary("maximum", h, t.constant("0.0", "f32", (E, C, I)))
    f = t.dot(h, "%down", (E, C, H), ("[0]", "[0]"), ("[2]", "[1]"))
    y = t.dot(taken, f, (T, H), None, ("[2, 1]", "[1, 0]"))
    head = ", ".join("%s: %s {moe.name = \"%s\"}" % (name, t.type(shape, "f32"), name[1:])
                     for name, shape in arguments.items())
    result = t.type((T, H), "f32")
    return "func.func @layer(%s) -> (%s {moe.name = \"y\"}) {\n%s\n    return %s : %s\n}\n" % (
        head, result, "\n".join(t.lines), y, result)


def reference(i, choices, order, limits, put):
    """The same sums."""
    scores, masks = i["p"].copy(), []
    for _ in range(choices):
        masks.append(np.eye(E)[np.argmax(scores, 1)])
        scores[masks[-1] == 1] = -np.inf
    taken = puts = 0
    for j in range(choices):
        position = np.cumsum(masks[j], 0) - masks[j] + sum(masks[other].sum(0) for other in order[j])
        mask = masks[j] * (position < limits[j])
        place = (position * mask).sum(1)
        there = mask[:, :, None] * (place[:, None] == np.arange(C))[:, None, :]
        taken = taken + there * (i["p"] * mask).sum(1)[:, None, None]
        if put == "all" or j == 0:
            puts = puts + there
    rows = np.einsum("tec,th->ech", puts, i["x"])
    f = np.maximum(rows @ i["up"], 0) @ i["down"]
    return np.einsum("tec,ech->th", taken, f)


random = np.random.default_rng(3)
shapes = {"x": (T, H), "p": (T, E), "up": (E, H, I), "down": (E, I, H)}
inputs = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
exact = {name: array.astype(np.float64) for name, array in inputs.items()}

stays = "experts with places stay as they are: "
other_order = stays + "places are not given in the order of choices, then tokens"
cases = {
    "switch": ("i32", 1, [[]], [3], "all", "rung 2: #moe.top_k<1>, 3 places for each expert"),
    "floats": ("f32", 1, [[]], [2], "all", "rung 2: #moe.top_k<1>, 2 places for each expert"),
    # More are kept than there are places: those are dropped in the end.
    "wide": ("i32", 1, [[]], [7], "all", "rung 2: #moe.top_k<1>, 3 places for each expert"),
    "gshard": ("f32", 2, [[], [0]], [3, 3], "all", "rung 2: #moe.top_k<2>, 3 places for each expert"),
    "integers": ("i32", 2, [[], [0]], [3, 3], "all", "rung 2: #moe.top_k<2>, 3 places for each expert"),
    # Two tokens in one place.
    "apart": ("f32", 2, [[], []], [3, 3], "all", other_order),
    "second_first": ("f32", 2, [[1], []], [3, 3], "all",
                     stays + "second choices are not the best ones beside the first"),
    "limits": ("f32", 2, [[], [0]], [3, 2], "all", other_order),
    "put": ("f32", 2, [[], [0]], [3, 3], "first", stays + "rows are put in other places than they are taken from"),
}

checker = Checker(sys.argv[1])
for name, (element, choices, order, limits, put, said) in cases.items():
    raised = said.startswith("rung")
    checker.check(name, write(element, choices, order, limits, put), inputs,
                  reference(exact, choices, order, limits, put), said,
                  ["moe.routing.limit", "moe.combine"] if raised else [], [] if raised else ["moe.combine"],
                  compile=raised)

print("%d failures" % checker.failures)
sys.exit(checker.failures != 0)
