// Written by gen_fixtures.py.
// RUN: moe-interpret %s --inputs=%S/Inputs/nearest-centroid-t0.safetensors --expect=%S/Inputs/nearest-centroid-t0.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/nearest-centroid-t1.safetensors --expect=%S/Inputs/nearest-centroid-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/nearest-centroid-t5.safetensors --expect=%S/Inputs/nearest-centroid-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %s --inputs=%S/Inputs/nearest-centroid-t37.safetensors --expect=%S/Inputs/nearest-centroid-t37.safetensors --tolerance=1e-12

func.func @route(
    %x: tensor<?x4xf64> {moe.name = "x", moe.dims = ["T"]},
    %c: tensor<5x4xf64> {moe.name = "c"})
    -> (tensor<?x5xf64> {moe.name = "s_cosine"}, tensor<?x2xi32> {moe.name = "cosine.idx"}, tensor<?x2xf64> {moe.name = "cosine.w"}, tensor<6xi32> {moe.name = "cosine.offsets"}, tensor<?xi32> {moe.name = "cosine.tokens"}, tensor<?x3xi32> {moe.name = "cosine_soft.idx"}, tensor<?x3xf64> {moe.name = "cosine_soft.w"}, tensor<6xi32> {moe.name = "cosine_soft.offsets"}, tensor<?xi32> {moe.name = "cosine_soft.tokens"}, tensor<?x5xf64> {moe.name = "s_dot"}, tensor<?x2xi32> {moe.name = "dot.idx"}, tensor<?x2xf64> {moe.name = "dot.w"}, tensor<6xi32> {moe.name = "dot.offsets"}, tensor<?xi32> {moe.name = "dot.tokens"}, tensor<?x3xi32> {moe.name = "dot_soft.idx"}, tensor<?x3xf64> {moe.name = "dot_soft.w"}, tensor<6xi32> {moe.name = "dot_soft.offsets"}, tensor<?xi32> {moe.name = "dot_soft.tokens"}, tensor<?x5xf64> {moe.name = "s_l2"}, tensor<?x2xi32> {moe.name = "l2.idx"}, tensor<?x2xf64> {moe.name = "l2.w"}, tensor<6xi32> {moe.name = "l2.offsets"}, tensor<?xi32> {moe.name = "l2.tokens"}, tensor<?x3xi32> {moe.name = "l2_soft.idx"}, tensor<?x3xf64> {moe.name = "l2_soft.w"}, tensor<6xi32> {moe.name = "l2_soft.offsets"}, tensor<?xi32> {moe.name = "l2_soft.tokens"}) {
  %s_cosine = moe.similarity %x, %c metric(cosine) : tensor<?x4xf64>, tensor<5x4xf64> -> tensor<?x5xf64>
  %cosine = moe.router #moe.nearest_centroid<2> select(%s_cosine) : tensor<?x5xf64> -> !moe.routing<5 x 2>
  %cosine_i = moe.routing.indices %cosine : !moe.routing<5 x 2> -> tensor<?x2xi32>
  %cosine_w = moe.routing.weights %cosine : !moe.routing<5 x 2> -> tensor<?x2xf64>
  %cosine_o = moe.routing.offsets %cosine : !moe.routing<5 x 2> -> tensor<6xi32>
  %cosine_t = moe.routing.tokens %cosine : !moe.routing<5 x 2> -> tensor<?xi32>
  %cosine_soft = moe.router #moe.nearest_centroid<3, temperature = 0.5> select(%s_cosine) : tensor<?x5xf64> -> !moe.routing<5 x 3>
  %cosine_soft_i = moe.routing.indices %cosine_soft : !moe.routing<5 x 3> -> tensor<?x3xi32>
  %cosine_soft_w = moe.routing.weights %cosine_soft : !moe.routing<5 x 3> -> tensor<?x3xf64>
  %cosine_soft_o = moe.routing.offsets %cosine_soft : !moe.routing<5 x 3> -> tensor<6xi32>
  %cosine_soft_t = moe.routing.tokens %cosine_soft : !moe.routing<5 x 3> -> tensor<?xi32>
  %s_dot = moe.similarity %x, %c metric(dot) : tensor<?x4xf64>, tensor<5x4xf64> -> tensor<?x5xf64>
  %dot = moe.router #moe.nearest_centroid<2> select(%s_dot) : tensor<?x5xf64> -> !moe.routing<5 x 2>
  %dot_i = moe.routing.indices %dot : !moe.routing<5 x 2> -> tensor<?x2xi32>
  %dot_w = moe.routing.weights %dot : !moe.routing<5 x 2> -> tensor<?x2xf64>
  %dot_o = moe.routing.offsets %dot : !moe.routing<5 x 2> -> tensor<6xi32>
  %dot_t = moe.routing.tokens %dot : !moe.routing<5 x 2> -> tensor<?xi32>
  %dot_soft = moe.router #moe.nearest_centroid<3, temperature = 0.5> select(%s_dot) : tensor<?x5xf64> -> !moe.routing<5 x 3>
  %dot_soft_i = moe.routing.indices %dot_soft : !moe.routing<5 x 3> -> tensor<?x3xi32>
  %dot_soft_w = moe.routing.weights %dot_soft : !moe.routing<5 x 3> -> tensor<?x3xf64>
  %dot_soft_o = moe.routing.offsets %dot_soft : !moe.routing<5 x 3> -> tensor<6xi32>
  %dot_soft_t = moe.routing.tokens %dot_soft : !moe.routing<5 x 3> -> tensor<?xi32>
  %s_l2 = moe.similarity %x, %c metric(l2) : tensor<?x4xf64>, tensor<5x4xf64> -> tensor<?x5xf64>
  %l2 = moe.router #moe.nearest_centroid<2> select(%s_l2) : tensor<?x5xf64> -> !moe.routing<5 x 2>
  %l2_i = moe.routing.indices %l2 : !moe.routing<5 x 2> -> tensor<?x2xi32>
  %l2_w = moe.routing.weights %l2 : !moe.routing<5 x 2> -> tensor<?x2xf64>
  %l2_o = moe.routing.offsets %l2 : !moe.routing<5 x 2> -> tensor<6xi32>
  %l2_t = moe.routing.tokens %l2 : !moe.routing<5 x 2> -> tensor<?xi32>
  %l2_soft = moe.router #moe.nearest_centroid<3, temperature = 0.5> select(%s_l2) : tensor<?x5xf64> -> !moe.routing<5 x 3>
  %l2_soft_i = moe.routing.indices %l2_soft : !moe.routing<5 x 3> -> tensor<?x3xi32>
  %l2_soft_w = moe.routing.weights %l2_soft : !moe.routing<5 x 3> -> tensor<?x3xf64>
  %l2_soft_o = moe.routing.offsets %l2_soft : !moe.routing<5 x 3> -> tensor<6xi32>
  %l2_soft_t = moe.routing.tokens %l2_soft : !moe.routing<5 x 3> -> tensor<?xi32>
  return %s_cosine, %cosine_i, %cosine_w, %cosine_o, %cosine_t, %cosine_soft_i, %cosine_soft_w, %cosine_soft_o, %cosine_soft_t, %s_dot, %dot_i, %dot_w, %dot_o, %dot_t, %dot_soft_i, %dot_soft_w, %dot_soft_o, %dot_soft_t, %s_l2, %l2_i, %l2_w, %l2_o, %l2_t, %l2_soft_i, %l2_soft_w, %l2_soft_o, %l2_soft_t : tensor<?x5xf64>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<6xi32>, tensor<?xi32>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<6xi32>, tensor<?xi32>, tensor<?x5xf64>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<6xi32>, tensor<?xi32>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<6xi32>, tensor<?xi32>, tensor<?x5xf64>, tensor<?x2xi32>, tensor<?x2xf64>, tensor<6xi32>, tensor<?xi32>, tensor<?x3xi32>, tensor<?x3xf64>, tensor<6xi32>, tensor<?xi32>
}
