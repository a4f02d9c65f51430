// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/sparse-mixer-t0.safetensors --expect=%S/Inputs/sparse-mixer-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sparse-mixer-t1.safetensors --expect=%S/Inputs/sparse-mixer-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sparse-mixer-t5.safetensors --expect=%S/Inputs/sparse-mixer-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sparse-mixer-t37.safetensors --expect=%S/Inputs/sparse-mixer-t37.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/sparse-mixer-adversarial.safetensors --expect=%S/Inputs/sparse-mixer-adversarial.safetensors --tolerance=1e-12

func.func @route(
    %z: tensor<?x6xf64> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "phi.idx"}, tensor<?x2xf64> {moe.name = "phi.w"}, tensor<7xi32> {moe.name = "phi.offsets"}, tensor<?xi32> {moe.name = "phi.tokens"}, tensor<?x2xi32> {moe.name = "wide.idx"}, tensor<?x2xf64> {moe.name = "wide.w"}, tensor<7xi32> {moe.name = "wide.offsets"}, tensor<?xi32> {moe.name = "wide.tokens"}, tensor<?x2xi32> {moe.name = "zero.idx"}, tensor<?x2xf64> {moe.name = "zero.w"}, tensor<7xi32> {moe.name = "zero.offsets"}, tensor<?xi32> {moe.name = "zero.tokens"}) {
  %phi = moe.router #moe.sparse_mixer<eps = 0.01> select(%z) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %phi_i = moe.routing.indices %phi : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %phi_w = moe.routing.weights %phi : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %phi_o = moe.routing.offsets %phi : !moe.routing<6 x 2> -> tensor<7xi32>
  %phi_t = moe.routing.tokens %phi : !moe.routing<6 x 2> -> tensor<?xi32>
  %wide = moe.router #moe.sparse_mixer<eps = 0.25> select(%z) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %wide_i = moe.routing.indices %wide : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %wide_w = moe.routing.weights %wide : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %wide_o = moe.routing.offsets %wide : !moe.routing<6 x 2> -> tensor<7xi32>
  %wide_t = moe.routing.tokens %wide : !moe.routing<6 x 2> -> tensor<?xi32>
  %zero = moe.router #moe.sparse_mixer<eps = 0.0> select(%z) : tensor<?x6xf64> -> !moe.routing<6 x 2>
  %zero_i = moe.routing.indices %zero : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %zero_w = moe.routing.weights %zero : !moe.routing<6 x 2> -> tensor<?x2xf64>
  %zero_o = moe.routing.offsets %zero : !moe.routing<6 x 2> -> tensor<7xi32>
  %zero_t = moe.routing.tokens %zero : !moe.routing<6 x 2> -> tensor<?xi32>
  return %phi_i, %phi_w, %phi_o, %phi_t, %wide_i, %wide_w, %wide_o, %wide_t, %zero_i, %zero_w, %zero_o, %zero_t : tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<7xi32>, tensor<?xi32>
}
