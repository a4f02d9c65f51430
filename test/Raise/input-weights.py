# All experts on all tokens, whose rows are weighted by 0 for experts that a token
# did not choose (Llama 4): a layer, if experts make 0 of zeros and the others'
# weight is 0. Results are NumPy's either way.
#
# REQUIRES: python-numpy, x86-64-v3
# RUN: %python %s %t

import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from raised import Checker

text = """
#slots = affine_map<(t, e, s) -> (t, s)>
#scores = affine_map<(t, e, s) -> (t, e)>
#id = affine_map<(t, e) -> (t, e)>
#rows = affine_map<(e, t, h) -> (t, h)>
#mask = affine_map<(e, t, h) -> (t, e)>
#all = affine_map<(e, t, h) -> (e, t, h)>
#out = affine_map<(e, t, h) -> (t, h)>
#bias = affine_map<(e, t, h) -> (e, h)>
#in = affine_map<(e, t, o, i) -> (e, t, i)>
#weight = affine_map<(e, t, o, i) -> (e, o, i)>
#product = affine_map<(e, t, o, i) -> (e, t, o)>
func.func @layer(%x: tensor<?x8xf32> {moe.dims = ["T"], moe.name = "x"},
    %z: tensor<?x4xf32> {moe.dims = ["T"], moe.name = "z"}, %up: tensor<4x5x8xf32> {moe.name = "up"},
    %down: tensor<4x8x5xf32> {moe.name = "down"}, %bias: tensor<4x5xf32> {moe.name = "bias"})
    -> (tensor<?x8xf32> {moe.dims = ["T"], moe.name = "y"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %low = arith.constant @REST@ : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %r = moe.router #moe.top_k<@K@> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x @K@>
  %e = moe.routing.indices %r : !moe.routing<4 x @K@> -> tensor<?x@K@xi32>
  %v = moe.routing.weights %r : !moe.routing<4 x @K@> -> tensor<?x@K@xf32>
  %table = tensor.empty(%T) : tensor<?x4xf32>
  %lows = linalg.fill ins(%low : f32) outs(%table : tensor<?x4xf32>) -> tensor<?x4xf32>
  %masked = linalg.generic {indexing_maps = [#slots, #slots, #scores],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%e, %v : tensor<?x@K@xi32>, tensor<?x@K@xf32>) outs(%lows : tensor<?x4xf32>) {
  ^bb0(%expert: i32, %value: f32, %old: f32):
    %i = arith.index_cast %expert : i32 to index
    %j = linalg.index 1 : index
    %is = arith.cmpi eq, %i, %j : index
    %new = arith.select %is, %value, %old : f32
    linalg.yield %new : f32
  } -> tensor<?x4xf32>
  %scores = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%masked : tensor<?x4xf32>) outs(%table : tensor<?x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    %p = math.exp %n : f32
    %d = arith.addf %p, %one : f32
    %q = arith.divf %one, %d : f32
    linalg.yield %q : f32
  } -> tensor<?x4xf32>
  %wide = tensor.empty(%T) : tensor<4x?x8xf32>
  %scaled = linalg.generic {indexing_maps = [#rows, #mask, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x, %scores : tensor<?x8xf32>, tensor<?x4xf32>) outs(%wide : tensor<4x?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %q = arith.mulf %a, %b : f32
    linalg.yield %q : f32
  } -> tensor<4x?x8xf32>
  %small = tensor.empty(%T) : tensor<4x?x5xf32>
  %start = linalg.fill ins(%zero : f32) outs(%small : tensor<4x?x5xf32>) -> tensor<4x?x5xf32>
  %h = linalg.contract indexing_maps = [#in, #weight, #product]
      ins(%scaled, %up : tensor<4x?x8xf32>, tensor<4x5x8xf32>) outs(%start : tensor<4x?x5xf32>) -> tensor<4x?x5xf32>
  %act = linalg.generic {indexing_maps = [#all, #bias, #all], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%h, %bias : tensor<4x?x5xf32>, tensor<4x5xf32>) outs(%small : tensor<4x?x5xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    @ACTIVATION@
    linalg.yield %q : f32
  } -> tensor<4x?x5xf32>
  %startWide = linalg.fill ins(%zero : f32) outs(%wide : tensor<4x?x8xf32>) -> tensor<4x?x8xf32>
  %f = linalg.contract indexing_maps = [#in, #weight, #product]
      ins(%act, %down : tensor<4x?x5xf32>, tensor<4x8x5xf32>) outs(%startWide : tensor<4x?x8xf32>) -> tensor<4x?x8xf32>
  %empty = tensor.empty(%T) : tensor<?x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#all, #rows, #out], iterator_types = ["reduction", "parallel", "parallel"]}
      ins(%f, %x : tensor<4x?x8xf32>, tensor<?x8xf32>) outs(%zeros : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    @TERM@
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
"""

tanh = "%q = math.tanh %a : f32"
biased = "%c = arith.addf %a, %b : f32\n    %q = math.tanh %c : f32"
cosine = "%q = math.cos %a : f32"
relu = "%q = arith.maximumf %a, %zero : f32"
plain = "%s = arith.addf %o, %a : f32"
residual = "%c = arith.addf %a, %b : f32\n    %s = arith.addf %o, %c : f32"
minus_infinity = "0xFF800000"

random = np.random.default_rng(9)
shapes = {"x": (6, 8), "z": (6, 4), "up": (4, 5, 8), "down": (4, 8, 5), "bias": (4, 5)}
inputs = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
exact = {name: array.astype(np.float64) for name, array in inputs.items()}


def reference(k, rest, act, residual):
    i, y = exact, np.zeros((6, 8))
    for t, row in enumerate(i["x"]):
        best = np.argsort(-i["z"][t], kind="stable")[:k]
        for e in range(4):
            w = 1 / (1 + np.exp(-i["z"][t][e])) if e in best else rest
            y[t] += i["down"][e] @ act(i["up"][e] @ (w * row), i["bias"][e]) + residual * row
    return y


stays = "the experts of a layer stay as they are: "
zeros = stays + "experts may make something else than 0 of rows that are 0"
cases = {
    "one": (1, minus_infinity, 0, tanh, lambda h, b: np.tanh(h), plain, "rung 2: #moe.top_k<1>, weighing [#moe.sigmoid]"),
    "two": (2, minus_infinity, 0, relu, lambda h, b: np.maximum(h, 0), plain,
            "rung 2: #moe.top_k<2>, weighing [#moe.sigmoid]"),
    "biased": (2, minus_infinity, 0, biased, lambda h, b: np.tanh(h + b), plain, zeros),
    "cosine": (2, minus_infinity, 0, cosine, lambda h, b: np.cos(h), plain, zeros),
    # sigmoid(0) of the experts that were not chosen.
    "halves": (2, "0.0", 0.5, tanh, lambda h, b: np.tanh(h), plain,
               stays + "rows are not weighted by those of a top-k and zeros"),
    # The row itself, of each expert.
    "residual": (2, minus_infinity, 0, tanh, lambda h, b: np.tanh(h), residual,
                 stays + "rows are weighted, and read as they are, too"),
}

checker = Checker(sys.argv[1])
for name, (k, low, rest, activation, act, term, said) in cases.items():
    code = text.replace("@K@", str(k)).replace("@REST@", low).replace("@ACTIVATION@", activation)
    raised = said.startswith("rung")
    words = ["weighted", "unweighted", "moe.ffn"]
    checker.check(name, code.replace("@TERM@", term), inputs, reference(k, rest, act, term == residual), said,
                  words if raised else [], [] if raised else ["moe.combine"], compile=raised)

print("%d failures" % checker.failures)
sys.exit(checker.failures != 0)
