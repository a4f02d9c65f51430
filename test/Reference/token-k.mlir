// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/token-k-t0.safetensors --expect=%S/Inputs/token-k-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/token-k-t1.safetensors --expect=%S/Inputs/token-k-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/token-k-t5.safetensors --expect=%S/Inputs/token-k-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/token-k-t37.safetensors --expect=%S/Inputs/token-k-t37.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/token-k-adversarial.safetensors --expect=%S/Inputs/token-k-adversarial.safetensors --tolerance=1e-12

func.func @route(
    %z: tensor<?x6xf64> {moe.name = "z", moe.dims = ["T"]},
    %k: tensor<?xi32> {moe.name = "k", moe.dims = ["T"]})
    -> (tensor<?x4xi32> {moe.name = "plain.idx"}, tensor<?x4xf64> {moe.name = "plain.w"}, tensor<7xi32> {moe.name = "plain.offsets"}, tensor<?xi32> {moe.name = "plain.tokens"}, tensor<?x4xi32> {moe.name = "softmax.idx"}, tensor<?x4xf64> {moe.name = "softmax.w"}, tensor<7xi32> {moe.name = "softmax.offsets"}, tensor<?xi32> {moe.name = "softmax.tokens"}, tensor<?x6xi32> {moe.name = "all.idx"}, tensor<?x6xf64> {moe.name = "all.w"}, tensor<7xi32> {moe.name = "all.offsets"}, tensor<?xi32> {moe.name = "all.tokens"}) {
  %plain = moe.router #moe.token_k<4> select(%z) weigh(%z) using(%k : tensor<?xi32>) : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %plain_i = moe.routing.indices %plain : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %plain_w = moe.routing.weights %plain : !moe.routing<6 x 4> -> tensor<?x4xf64>
  %plain_o = moe.routing.offsets %plain : !moe.routing<6 x 4> -> tensor<7xi32>
  %plain_t = moe.routing.tokens %plain : !moe.routing<6 x 4> -> tensor<?xi32>
  %softmax = moe.router #moe.token_k<4> select(%z) weigh(%z) using(%k : tensor<?xi32>) weighing [#moe.softmax] : tensor<?x6xf64> -> !moe.routing<6 x 4>
  %softmax_i = moe.routing.indices %softmax : !moe.routing<6 x 4> -> tensor<?x4xi32>
  %softmax_w = moe.routing.weights %softmax : !moe.routing<6 x 4> -> tensor<?x4xf64>
  %softmax_o = moe.routing.offsets %softmax : !moe.routing<6 x 4> -> tensor<7xi32>
  %softmax_t = moe.routing.tokens %softmax : !moe.routing<6 x 4> -> tensor<?xi32>
  %all = moe.router #moe.token_k<6> select(%z) using(%k : tensor<?xi32>) : tensor<?x6xf64> -> !moe.routing<6 x 6>
  %all_i = moe.routing.indices %all : !moe.routing<6 x 6> -> tensor<?x6xi32>
  %all_w = moe.routing.weights %all : !moe.routing<6 x 6> -> tensor<?x6xf64>
  %all_o = moe.routing.offsets %all : !moe.routing<6 x 6> -> tensor<7xi32>
  %all_t = moe.routing.tokens %all : !moe.routing<6 x 6> -> tensor<?xi32>
  return %plain_i, %plain_w, %plain_o, %plain_t, %softmax_i, %softmax_w, %softmax_o, %softmax_t, %all_i, %all_w, %all_o, %all_t : tensor<?x4xi32>, tensor<?x4xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x4xi32>, tensor<?x4xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x6xi32>, tensor<?x6xf64>, tensor<7xi32>, tensor<?xi32>
}
