# An FFN of all tokens that is added to a layer becomes its shared expert, if it
# is one: what reads another tensor, or is no FFN, stays beside it. Results are
# NumPy's either way.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from raised import Checker

random = np.random.default_rng(5)

layer = """
#rows = affine_map<(t, h, s, j) -> (t, j)>
#slots = affine_map<(t, h, s, j) -> (t, s)>
#out = affine_map<(t, h, s, j) -> (t, h)>
#id = affine_map<(t, h) -> (t, h)>
#token = affine_map<(t, h) -> (t)>
#one = affine_map<(t, h) -> (t, 0)>
#in = affine_map<(t, o, i) -> (t, i)>
#weight = affine_map<(t, o, i) -> (o, i)>
#flipped = affine_map<(t, o, i) -> (i, o)>
#product = affine_map<(t, o, i) -> (t, o)>
func.func @layer(%x: tensor<?x8xf32> {moe.dims = ["T"], moe.name = "x"},
    %z: tensor<?x4xf32> {moe.dims = ["T"], moe.name = "z"}, %w: tensor<4x8x8xf32> {moe.name = "w"},
    %gate: tensor<5x8xf32> {moe.name = "gate"}, %up: tensor<5x8xf32> {moe.name = "up"},
    %down: tensor<5x8xf32> {moe.name = "down"}, %factor: tensor<1x8xf32> {moe.name = "factor"},
    %other: tensor<?x8xf32> {moe.dims = ["T"], moe.name = "other"})
    -> (tensor<?x8xf32> {moe.dims = ["T"], moe.name = "y"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %e = moe.routing.indices %r : !moe.routing<4 x 2> -> tensor<?x2xi32>
  %p = moe.routing.weights %r : !moe.routing<4 x 2> -> tensor<?x2xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %routed = linalg.generic {indexing_maps = [#slots, #slots, #rows, #out],
      iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%e, %p, %x : tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x8xf32>) outs(%zeros : tensor<?x8xf32>) {
  ^bb0(%expert: i32, %v: f32, %a: f32, %sum: f32):
    %i = arith.index_cast %expert : i32 to index
    %h = linalg.index 1 : index
    %j = linalg.index 3 : index
    %m = tensor.extract %w[%i, %h, %j] : tensor<4x8x8xf32>
    %q = arith.mulf %m, %a : f32
    %weighted = arith.mulf %q, %v : f32
    %next = arith.addf %sum, %weighted : f32
    linalg.yield %next : f32
  } -> tensor<?x8xf32>
  %small = tensor.empty(%T) : tensor<?x5xf32>
  %start = linalg.fill ins(%zero : f32) outs(%small : tensor<?x5xf32>) -> tensor<?x5xf32>
  @SHARED@
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%shared, %routed : tensor<?x8xf32>, tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
"""

ffn = """
  %g = linalg.contract indexing_maps = [#in, #weight, #product]
      ins(@X@, %gate : tensor<?x8xf32>, tensor<5x8xf32>) outs(%start : tensor<?x5xf32>) -> tensor<?x5xf32>
  %u = linalg.contract indexing_maps = [#in, #weight, #product]
      ins(@X@, %up : tensor<?x8xf32>, tensor<5x8xf32>) outs(%start : tensor<?x5xf32>) -> tensor<?x5xf32>
  %h = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%g, %u : tensor<?x5xf32>, tensor<?x5xf32>) outs(%small : tensor<?x5xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    @ACTIVATION@
    linalg.yield %act : f32
  } -> tensor<?x5xf32>
  @NAME@ = linalg.contract indexing_maps = [#in, #flipped, #product]
      ins(@H@, %down : tensor<?x5xf32>, tensor<5x8xf32>) outs(%zeros : tensor<?x8xf32>) -> tensor<?x8xf32>
"""

silu = """
    %n = arith.negf %b : f32
    %x1 = math.exp %n : f32
    %d = arith.addf %x1, %one : f32
    %q = arith.divf %one, %d : f32
    %s = arith.mulf %q, %b : f32
    %act = arith.mulf %a, %s : f32
"""

unnamed = """
    %s = math.sin %a : f32
    %act = arith.mulf %s, %b : f32
"""

gated = """
  %column = tensor.empty(%T) : tensor<?x1xf32>
  %columnZeros = linalg.fill ins(%zero : f32) outs(%column : tensor<?x1xf32>) -> tensor<?x1xf32>
  %logit = linalg.contract indexing_maps = [#in, #weight, #product]
      ins(%x, %factor : tensor<?x8xf32>, tensor<1x8xf32>) outs(%columnZeros : tensor<?x1xf32>) -> tensor<?x1xf32>
  %shared = linalg.generic {indexing_maps = [#one, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%logit, %f : tensor<?x1xf32>, tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %t = math.tanh %a : f32
    %q = arith.mulf %t, %b : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
"""

# Rows less their sum: the rows of an FFN, but none itself.
centred = """
  %line = tensor.empty(%T) : tensor<?xf32>
  %none = linalg.fill ins(%zero : f32) outs(%line : tensor<?xf32>) -> tensor<?xf32>
  %total = linalg.reduce {arith.addf} ins(%h : tensor<?x5xf32>) outs(%none : tensor<?xf32>) dimensions = [1]
  %less = linalg.generic {indexing_maps = [#id, #token, #id], iterator_types = ["parallel", "parallel"]}
      ins(%h, %total : tensor<?x5xf32>, tensor<?xf32>) outs(%small : tensor<?x5xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %q = arith.subf %a, %b : f32
    linalg.yield %q : f32
  } -> tensor<?x5xf32>
"""


def text(activation, name="%shared", x="%x", h="%h", between=""):
    code = ffn.replace("@X@", x).replace("@ACTIVATION@", activation).replace("@NAME@", name)
    head, tail = code.split("  " + name + " =")
    return head + between + "  " + name + " =" + tail.replace("@H@", h)


def shared_of(x, i, activation):
    g, u = x @ i["gate"].T, x @ i["up"].T
    return activation(g, u)


swap_silu = lambda g, u: g * (u / (1 + np.exp(-u)))
sine = lambda g, u: np.sin(g) * u
raised = "rung 3: its shared expert"
cases = {
    # Gate and up change places: silu is of the second.
    "plain": (text(silu), lambda i: shared_of(i["x"], i, swap_silu) @ i["down"],
              "an FFN of all tokens is added to the layer; " + raised,
              ["gate(%arg4) up(%arg3)", "activation(#moe.silu)", "init("]),
    "unnamed": (text(unnamed), lambda i: shared_of(i["x"], i, sine) @ i["down"],
                raised, ["moe.ffn %arg0", "math.sin", "init("]),
    "gated": (text(silu, "%f") + gated,
              lambda i: np.tanh(i["x"] @ i["factor"].T) * (shared_of(i["x"], i, swap_silu) @ i["down"]),
              "an FFN of all tokens times a number of each is added to the layer; " + raised,
              ["activation(#moe.silu)", "init("]),
    "other": (text(silu, x="%other"), lambda i: shared_of(i["other"], i, swap_silu) @ i["down"],
              "what is added to the layer stays as it is: it reads another tensor than the layer does", []),
    "no_ffn": (text(silu, h="%less", between=centred),
               lambda i: (lambda h: h - h.sum(-1, keepdims=True))(shared_of(i["x"], i, swap_silu)) @ i["down"],
               "what is added to the layer stays as it is: it is no FFN", []),
}


def routed_of(i):
    y = np.zeros_like(i["x"])
    for t, row in enumerate(i["x"]):
        for e in np.argsort(-i["z"][t], kind="stable")[:2]:
            y[t] += i["z"][t][e] * (i["w"][e] @ row)
    return y


shapes = {"x": (6, 8), "z": (6, 4), "w": (4, 8, 8), "gate": (5, 8), "up": (5, 8), "down": (5, 8),
          "factor": (1, 8), "other": (6, 8)}
inputs = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
exact = {name: array.astype(np.float64) for name, array in inputs.items()}
checker = Checker(sys.argv[1])
for name, (code, reference, said, found) in cases.items():
    checker.check(name, layer.replace("@SHARED@", code), inputs, routed_of(exact) + reference(exact), said, found,
                  [] if found else ["init("])

print("%d failures" % checker.failures)
sys.exit(checker.failures != 0)
