// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/gshard-t0.safetensors --expect=%S/Inputs/gshard-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gshard-t1.safetensors --expect=%S/Inputs/gshard-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gshard-t5.safetensors --expect=%S/Inputs/gshard-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gshard-t37.safetensors --expect=%S/Inputs/gshard-t37.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/gshard-adversarial.safetensors --expect=%S/Inputs/gshard-adversarial.safetensors --tolerance=1e-12

func.func @route(
    %p: tensor<?x6xf64> {moe.name = "p", moe.dims = ["T"]},
    %u: tensor<?xf32> {moe.name = "u", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "all.idx"}, tensor<?x2xf64> {moe.name = "all.w"}, tensor<7xi32> {moe.name = "all.offsets"}, tensor<?xi32> {moe.name = "all.tokens"}, tensor<?x2xi32> {moe.name = "none.idx"}, tensor<?x2xf64> {moe.name = "none.w"}, tensor<7xi32> {moe.name = "none.offsets"}, tensor<?xi32> {moe.name = "none.tokens"}, tensor<?x2xi32> {moe.name = "threshold.idx"}, tensor<?x2xf64> {moe.name = "threshold.w"}, tensor<7xi32> {moe.name = "threshold.offsets"}, tensor<?xi32> {moe.name = "threshold.tokens"}, tensor<?x2xi32> {moe.name = "random.idx"}, tensor<?x2xf64> {moe.name = "random.w"}, tensor<7xi32> {moe.name = "random.offsets"}, tensor<?xi32> {moe.name = "random.tokens"}, tensor<?x2xi32> {moe.name = "mesh.idx"}, tensor<?x2xf64> {moe.name = "mesh.w"}, tensor<7xi32> {moe.name = "mesh.offsets"}, tensor<?xi32> {moe.name = "mesh.tokens"}, tensor<?x2xi32> {moe.name = "nllb.idx"}, tensor<?x2xf64> {moe.name = "nllb.w"}, tensor<7xi32> {moe.name = "nllb.offsets"}, tensor<?xi32> {moe.name = "nllb.tokens"}) {
  %all = moe.router #moe.gshard<second = all> select(%p) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %all_i = moe.routing.indices %all : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %all_w = moe.routing.weights %all : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %all_o = moe.routing.offsets %all : !moe.routing<6 x 2> -> tensor<7xi32>
  %all_t = moe.routing.tokens %all : !moe.routing<6 x 2> -> tensor<?xi32>
  %none = moe.router #moe.gshard<second = none> select(%p) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %none_i = moe.routing.indices %none : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %none_w = moe.routing.weights %none : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %none_o = moe.routing.offsets %none : !moe.routing<6 x 2> -> tensor<7xi32>
  %none_t = moe.routing.tokens %none : !moe.routing<6 x 2> -> tensor<?xi32>
  %threshold = moe.router #moe.gshard<second = threshold, threshold = 0.3> select(%p) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %threshold_i = moe.routing.indices %threshold : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %threshold_w = moe.routing.weights %threshold : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %threshold_o = moe.routing.offsets %threshold : !moe.routing<6 x 2> -> tensor<7xi32>
  %threshold_t = moe.routing.tokens %threshold : !moe.routing<6 x 2> -> tensor<?xi32>
  %random = moe.router #moe.gshard<second = random> select(%p) using(%u : tensor<?xf32>) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %random_i = moe.routing.indices %random : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %random_w = moe.routing.weights %random : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %random_o = moe.routing.offsets %random : !moe.routing<6 x 2> -> tensor<7xi32>
  %random_t = moe.routing.tokens %random : !moe.routing<6 x 2> -> tensor<?xi32>
  %mesh = moe.router #moe.gshard<second = random, threshold = 0.2> select(%p) using(%u : tensor<?xf32>) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %mesh_i = moe.routing.indices %mesh : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %mesh_w = moe.routing.weights %mesh : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %mesh_o = moe.routing.offsets %mesh : !moe.routing<6 x 2> -> tensor<7xi32>
  %mesh_t = moe.routing.tokens %mesh : !moe.routing<6 x 2> -> tensor<?xi32>
  %nllb = moe.router #moe.gshard<second = random, raw = true> select(%p) using(%u : tensor<?xf32>) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %nllb_i = moe.routing.indices %nllb : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %nllb_w = moe.routing.weights %nllb : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %nllb_o = moe.routing.offsets %nllb : !moe.routing<6 x 2> -> tensor<7xi32>
  %nllb_t = moe.routing.tokens %nllb : !moe.routing<6 x 2> -> tensor<?xi32>
  return %all_i, %all_w, %all_o, %all_t, %none_i, %none_w, %none_o, %none_t, %threshold_i, %threshold_w, %threshold_o, %threshold_t, %random_i, %random_w, %random_o, %random_t, %mesh_i, %mesh_w, %mesh_o, %mesh_t, %nllb_i, %nllb_w, %nllb_o, %nllb_t : tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>
}
