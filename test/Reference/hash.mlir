// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/hash-t0.safetensors --expect=%S/Inputs/hash-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/hash-t1.safetensors --expect=%S/Inputs/hash-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/hash-t5.safetensors --expect=%S/Inputs/hash-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/hash-t37.safetensors --expect=%S/Inputs/hash-t37.safetensors --tolerance=1e-12

func.func @route(
    %v: tensor<?x6xf64> {moe.name = "v", moe.dims = ["T"]},
    %ids: tensor<?xi32> {moe.name = "ids", moe.dims = ["T"]},
    %table: tensor<11x3xi32> {moe.name = "table"})
    -> (tensor<?x3xi32> {moe.name = "ones.idx"}, tensor<?x3xf64> {moe.name = "ones.w"}, tensor<7xi32> {moe.name = "ones.offsets"}, tensor<?xi32> {moe.name = "ones.tokens"}, tensor<?x3xi32> {moe.name = "v4.idx"}, tensor<?x3xf64> {moe.name = "v4.w"}, tensor<7xi32> {moe.name = "v4.offsets"}, tensor<?xi32> {moe.name = "v4.tokens"}, tensor<?x1xi32> {moe.name = "mod.idx"}, tensor<?x1xf64> {moe.name = "mod.w"}, tensor<7xi32> {moe.name = "mod.offsets"}, tensor<?xi32> {moe.name = "mod.tokens"}) {
  %ones = moe.router #moe.hash<table, 3> weigh(%v) using(%ids, %table : tensor<?xi32>, tensor<11x3xi32>) : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %ones_i = moe.routing.indices %ones : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %ones_w = moe.routing.weights %ones : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %ones_o = moe.routing.offsets %ones : !moe.routing<6 x 3> -> tensor<7xi32>
  %ones_t = moe.routing.tokens %ones : !moe.routing<6 x 3> -> tensor<?xi32>
  %v4 = moe.router #moe.hash<table, 3> weigh(%v) using(%ids, %table : tensor<?xi32>, tensor<11x3xi32>) weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<1.5>] : tensor<?x6xf64> -> !moe.routing<6 x 3>
  %v4_i = moe.routing.indices %v4 : !moe.routing<6 x 3> -> tensor<?x3xi32>
  %v4_w = moe.routing.weights %v4 : !moe.routing<6 x 3> -> tensor<?x3xf64>
  %v4_o = moe.routing.offsets %v4 : !moe.routing<6 x 3> -> tensor<7xi32>
  %v4_t = moe.routing.tokens %v4 : !moe.routing<6 x 3> -> tensor<?xi32>
  %mod = moe.router #moe.hash<mod, 1> weigh(%v) using(%ids : tensor<?xi32>) : tensor<?x6xf64> -> !moe.routing<6 x 1>
  %mod_i = moe.routing.indices %mod : !moe.routing<6 x 1> -> tensor<?x1xi32>
  %mod_w = moe.routing.weights %mod : !moe.routing<6 x 1> -> tensor<?x1xf64>
  %mod_o = moe.routing.offsets %mod : !moe.routing<6 x 1> -> tensor<7xi32>
  %mod_t = moe.routing.tokens %mod : !moe.routing<6 x 1> -> tensor<?xi32>
  return %ones_i, %ones_w, %ones_o, %ones_t, %v4_i, %v4_w, %v4_o, %v4_t, %mod_i, %mod_w, %mod_o, %mod_t : tensor<?x3xi32>, tensor<?x3xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<7xi32>, tensor<?xi32>, tensor<?x1xi32>, tensor<?x1xf64>, tensor<7xi32>, tensor<?xi32>
}
