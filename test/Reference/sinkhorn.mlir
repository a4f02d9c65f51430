// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-t0.safetensors --expect=%S/Inputs/sinkhorn-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-t1.safetensors --expect=%S/Inputs/sinkhorn-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-t5.safetensors --expect=%S/Inputs/sinkhorn-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-t37.safetensors --expect=%S/Inputs/sinkhorn-t37.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-adversarial.safetensors --expect=%S/Inputs/sinkhorn-adversarial.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sinkhorn-nan.safetensors --expect=%S/Inputs/sinkhorn-nan.safetensors --tolerance=1e-12

func.func @route(
    %z: tensor<?x6xf64> {moe.name = "z", moe.dims = ["T"]},
    %v: tensor<?x6xf64> {moe.name = "v", moe.dims = ["T"]})
    -> (tensor<?x1xi32> {moe.name = "megatron.idx"}, tensor<?x1xf64> {moe.name = "megatron.w"}, tensor<7xi32> {moe.name = "megatron.offsets"}, tensor<?xi32> {moe.name = "megatron.tokens"}, tensor<?x2xi32> {moe.name = "two.idx"}, tensor<?x2xf64> {moe.name = "two.w"}, tensor<7xi32> {moe.name = "two.offsets"}, tensor<?xi32> {moe.name = "two.tokens"}, tensor<?x2xi32> {moe.name = "early.idx"}, tensor<?x2xf64> {moe.name = "early.w"}, tensor<7xi32> {moe.name = "early.offsets"}, tensor<?xi32> {moe.name = "early.tokens"}) {
  %megatron = moe.router #moe.sinkhorn<1, tolerance = 1.0e-4, iterations = 1000> select(%z) weigh(%v) : tensor<?x6xf64> -> !moe.routing<6 x 1>
  %megatron_i = moe.routing.indices %megatron : !moe.routing<6 x 1> -> tensor<?x1xi32>
  %megatron_w = moe.routing.weights %megatron : !moe.routing<6 x 1> -> tensor<?x1xf64>
  %megatron_o = moe.routing.offsets %megatron : !moe.routing<6 x 1> -> tensor<7xi32>
  %megatron_t = moe.routing.tokens %megatron : !moe.routing<6 x 1> -> tensor<?xi32>
  %two = moe.router #moe.sinkhorn<2, tolerance = 1.0e-4, iterations = 1000> select(%z) weigh(%v) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %two_i = moe.routing.indices %two : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %two_w = moe.routing.weights %two : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %two_o = moe.routing.offsets %two : !moe.routing<6 x 2> -> tensor<7xi32>
  %two_t = moe.routing.tokens %two : !moe.routing<6 x 2> -> tensor<?xi32>
  %early = moe.router #moe.sinkhorn<2, tolerance = 0.0, iterations = 3> select(%z) weigh(%v) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %early_i = moe.routing.indices %early : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %early_w = moe.routing.weights %early : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %early_o = moe.routing.offsets %early : !moe.routing<6 x 2> -> tensor<7xi32>
  %early_t = moe.routing.tokens %early : !moe.routing<6 x 2> -> tensor<?xi32>
  return %megatron_i, %megatron_w, %megatron_o, %megatron_t, %two_i, %two_w, %two_o, %two_t, %early_i, %early_w, %early_o, %early_t : tensor<?x1xi32>, tensor<?x1xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>
}
