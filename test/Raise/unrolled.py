# Experts that are written one after the other, on all tokens, with a weight that
# is 0 for those that did not choose them: layers where they are, and otherwise
# what they were. Against NumPy, raised or not.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from hlo_text import Function
from one_op import load, save

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(7)
T, E, H, I = 6, 4, 8, 12


def f(*shape):
    return (np.round(random.normal(size=shape) * 64) / 96).astype(np.float32)


tensors = {"x": f(T, H), "wr": f(H, E), "wr2": f(H, E), "g": f(E, H, I), "u": f(E, H, I), "d": f(E, I, H)}
tensors.update({f"{n}{e}": tensors[n][e] for n in "gud" for e in range(E)})
wide = {name: array.astype(np.float64) for name, array in tensors.items()}


def softmax(z):
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def silu(z):
    return z / (1 + np.exp(-z))


class Case:
    """One function and what it computes; what differs between cases is overridden."""
    order = list(range(E))  # which experts are added, and when
    stacked = False         # weights are parts of one tensor
    K = 2
    start = "zero"
    after = None            # what is added at the end
    expected = "rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"

    def __init__(self):
        self.b = Function("f")
        self.arguments = {}
        self.argument("x"), self.argument("wr")

    def argument(self, name):
        if name not in self.arguments:
            self.arguments[name] = self.b.argument(name, tensors[name].shape)
        return self.arguments[name]

    def weight(self, name, e):
        shape = tensors[name].shape
        if not self.stacked:
            return self.argument(f"{name}{e}")
        part = self.b.slice(self.argument(name), [e, 0, 0], [e + 1, *shape[1:]])
        return self.b.op("reshape", [part], shape[1:])

    def activation(self, e):
        return self.b.silu, silu

    def rows(self, e):
        return self.arguments["x"], wide["x"]

    def expert(self, e):
        b, (x, values), (own, function) = self.b, self.rows(e), self.activation(e)
        h = b.binary("multiply", own(b.dot(x, self.weight("g", e))), b.dot(x, self.weight("u", e)))
        return b.dot(h, self.weight("d", e)), (function(values @ wide["g"][e]) * (values @ wide["u"][e])) @ wide["d"][e]

    def route(self, name="wr"):
        """Weights and experts of each token, [T, self.K]."""
        b = self.b
        best, ids = b.top_k(b.softmax(b.dot(self.arguments["x"], self.arguments[name])), self.K)
        weights = b.binary("divide", best, b.spread(b.reduce("add", best, np.float32(0), [1]), (T, self.K), [0]))
        p = softmax(wide["x"] @ wide[name])
        places = np.argsort(-p, kind="stable")[:, :self.K]
        w = np.take_along_axis(p, places, 1)
        return weights, ids, w / w.sum(-1, keepdims=True), places

    def prepare(self):
        self.weights, self.ids, self.w, self.places = self.route()

    def isExpert(self, e):
        return self.b.compare(self.ids, self.b.number(e, (T, self.K), np.int32)), self.places == e

    def term(self, e, y, values):
        """The output weighted by the sum of the weights in slots of the expert."""
        b = self.b
        mask, here = self.isExpert(e)
        own = b.reduce("add", b.op("select", [mask, self.weights, b.number(0, (T, self.K))], (T, self.K)), np.float32(0), [1])
        return b.binary("multiply", y, b.spread(own, (T, H), [0])), values * np.where(here, self.w, 0).sum(-1)[:, None]

    def build(self):
        b = self.b
        self.prepare()
        total, expected = b.number(0, (T, H)), np.zeros((T, H))
        if self.start == "x":
            total, expected = self.arguments["x"], wide["x"]
        for e in self.order:
            term, values = self.term(e, *self.expert(e))
            total, expected = b.binary("add", total, term), expected + values
        if self.after:
            more, values = self.after()
            total, expected = b.binary("add", total, more), expected + values
        return b.text(total), expected


class Stacked(Case):
    stacked = True


class Residual(Case):
    start = "x"


class AnyOrder(Case):
    order = [2, 0, 3, 1]


class Shared(Case):
    def after(self):
        b, x = self.b, self.arguments["x"]
        return b.dot(b.silu(b.dot(x, self.argument("g0s"))), self.argument("d0s")), silu(wide["x"] @ wide["g0s"]) @ wide["d0s"]


class Choice(Case):
    """where(any(ids == e), f(x), 0), weighted by a column of a matrix [T, E]."""
    def prepare(self):
        super().prepare()
        b = self.b
        columns = b.op("iota", [], (T, self.K, E), "i32", "iota_dimension = 2 : i64")
        one = b.op("convert", [b.compare(b.spread(self.ids, (T, self.K, E), [0, 1]), columns)], (T, self.K, E))
        self.matrix = b.reduce("add", b.binary("multiply", one, b.spread(self.weights, (T, self.K, E), [0, 1])), np.float32(0), [1])
        self.values = ((self.places[..., None] == np.arange(E)) * self.w[..., None]).sum(1)

    def term(self, e, y, values):
        b = self.b
        own = b.op("reshape", [b.slice(self.matrix, [0, e], [T, e + 1])], (T,))
        mask, here = self.isExpert(e)
        chosen = b.spread(b.reduce("or", mask, np.False_, [1]), (T, H), [0])
        return (b.binary("multiply", b.op("select", [chosen, y, b.number(0, (T, H))], (T, H)), b.spread(own, (T, H), [0])),
                np.where(here.any(-1)[:, None], values, 0) * self.values[:, e:e + 1])


class Matrix(Choice):
    """The same without the choice."""
    def term(self, e, y, values):
        own = self.b.slice(self.matrix, [0, e], [T, e + 1])
        return self.b.binary("multiply", self.b.spread(own, (T, H), [0, 1]), y), values * self.values[:, e:e + 1]


class OtherWeights(Case):
    """Experts of one router, weights of another."""
    expected = "rung 1"

    def prepare(self):
        super().prepare()
        self.argument("wr2")
        self.weights, _, self.w, _ = self.route("wr2")


class OneDiffers(Case):
    expected = "expert 2 has math.tanh where expert 0 has arith.mulf"

    def activation(self, e):
        return (lambda h: self.b.unary("tanh", h), np.tanh) if e == 2 else (self.b.silu, silu)


class OneScaled(Case):
    expected = "expert 3 has 0.5 where expert 0 has 0.25"

    def activation(self, e):
        scale = 0.5 if e == 3 else 0.25
        return lambda h: self.b.binary("multiply", h, self.b.number(scale, h[1])), lambda h: h * scale


class Twice(Case):
    order = [0, 1, 1, 2, 3]
    expected = "expert 1 is added twice"


class Missing(Case):
    order = [0, 1, 3]
    expected = "expert 2 is not added"


class LastMissing(Case):
    order = [0, 1, 2]
    expected = "tokens may choose experts that are not added"


class Neighbour(Case):
    """Expert e reads the row that is e rows further."""
    expected = "experts"

    def rows(self, e):
        b, x = self.b, self.arguments["x"]
        if e:
            x = b.op("concatenate", [b.slice(x, [e, 0], [T, H]), b.slice(x, [0, 0], [e, H])], (T, H), properties="dimension = 0 : i64")
        return x, np.roll(wide["x"], -e, 0)


class TwoMasks(Case):
    """Experts 0 and 1 are for those that one router chose, 2 and 3 for those of another."""
    expected = "is not added"

    def prepare(self):
        super().prepare()
        self.argument("wr2")
        _, self.ids2, _, self.places2 = self.route("wr2")

    def isExpert(self, e):
        ids, places = (self.ids, self.places) if e < 2 else (self.ids2, self.places2)
        return self.b.compare(ids, self.b.number(e, (T, self.K), np.int32)), places == e


class Mirrored(Choice):
    """Who chose expert e, with the weights of expert E - 1 - e."""
    expected = "experts"

    def isExpert(self, e):
        return super().isExpert(E - 1 - e)


class Chain(Case):
    """y = where(ids == e, f(x), y) of the only expert of a token, then weighted."""
    K = 1
    start = "x"
    expected = "1 of them a token; rung 2: #moe.top_k<1>\n"

    def route(self, name="wr"):
        b = self.b
        best, ids = b.top_k(b.softmax(b.dot(self.arguments["x"], self.arguments[name])), 1)
        p = softmax(wide["x"] @ wide[name])
        return best, ids, p.max(-1, keepdims=True), p.argmax(-1)[:, None]

    def isTheirs(self, e):
        mask, here = self.isExpert(e)
        return self.b.op("reshape", [mask], (T,), "i1"), here[:, 0]

    def build(self):
        b = self.b
        self.prepare()
        total, expected = self.arguments["x"], wide["x"]
        for e in self.order:
            y, values = self.expert(e)
            mask, here = self.isTheirs(e)
            total = b.op("select", [b.spread(mask, (T, H), [0]), y, total], (T, H))
            expected = np.where(here[:, None], values, expected)
        return b.text(b.binary("multiply", total, b.spread(self.weights, (T, H), [0, 1]))), expected * self.w


class Room(Chain):
    """An expert takes its first two tokens."""
    expected = "1 of them a token; rung 2: #moe.top_k<1>, limited to 2 of an expert"
    order = [3, 1, 0, 2]
    direction = "LE"
    counted = "wr"

    def prepare(self):
        super().prepare()
        self.counts, self.places2 = self.ids, self.places
        if self.counted != "wr":
            self.argument(self.counted)
            _, self.counts, _, self.places2 = self.route(self.counted)

    def isTheirs(self, e):
        b, (mask, here) = self.b, super().isTheirs(e)
        # [t, s]: whether s comes before t, or is it, and has chosen the expert.
        i, j = (b.op("iota", [], (T, T), "i32", f"iota_dimension = {d} : i64") for d in (0, 1))
        chose = b.op("reshape", [b.compare(self.counts, b.number(e, (T, 1), np.int32))], (T,), "i1")
        both = b.binary("and", b.compare(j, i, self.direction), b.spread(chose, (T, T), [1]))
        count = b.reduce("add", b.op("convert", [both], (T, T), "i32"), np.int32(0), [1])
        before = np.tril(np.ones((T, T))) if self.direction == "LE" else np.triu(np.ones((T, T)))
        room = before @ (self.places2[:, 0] == e) <= 2
        return b.binary("and", mask, b.compare(count, b.number(2, (T,), np.int32), "LE")), here & room


class RoomForLast(Room):
    """An expert takes its last two tokens."""
    direction = "GE"
    expected = "tokens are left out by something that is not the room of their expert"


class RoomOfOthers(Room):
    """Experts are full by the choices of another router."""
    counted = "wr2"
    expected = "tokens are left out by something that is not the room of their expert"


class ChainTwice(Chain):
    order = [0, 1, 2, 3, 1]
    expected = "expert 1 is added twice"


tensors.update({"g0s": f(H, I), "d0s": f(I, H)})
wide.update({name: tensors[name].astype(np.float64) for name in ("g0s", "d0s")})
failures = 0
for kind in (Case, Stacked, Residual, AnyOrder, Shared, Choice, Matrix, OtherWeights, OneDiffers, OneScaled, Twice, Missing,
             LastMissing, Neighbour, TwoMasks, Mirrored, Chain, Room, RoomForLast, RoomOfOthers, ChainTwice):
    case = kind()
    text, expected = case.build()
    given, raised, inputs, out = (os.path.join(folder, kind.__name__ + end) for end in
                                  (".mlir", ".raised.mlir", ".in.safetensors", ".out.safetensors"))
    with open(given, "w") as file:
        file.write(text)
    done = subprocess.run(["moe-raise", "--explain", "--check=1", given, "-o", raised], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    isLayer = "a layer of" in done.stdout
    if done.returncode or case.expected not in done.stdout or isLayer != ("rung" in case.expected):
        failures += 1
        print(f"{kind.__name__}: said\n{done.stdout}expected {case.expected}")
    if done.returncode:
        continue
    save(inputs, {name: tensors[name] for name in case.arguments})
    subprocess.run(["moe-interpret", raised, "--inputs=" + inputs, "-o", out], check=True)
    got = load(out)["y"]
    if not np.allclose(got, expected, rtol=0, atol=2e-6):
        failures += 1
        print(f"{kind.__name__}: off by {np.abs(got - expected).max()}")
print(failures, "failures")
sys.exit(failures != 0)
