// Routers of so many experts that a thread's stack holds no buffer of a block.
func.func @lists(%z: tensor<?x16384xf32> {moe.name = "z", moe.dims = ["T"]})
    -> (tensor<?x2xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x2xf32> {moe.name = "weights", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x16384xf32> -> !moe.routing<16384 x 2>
  %i = moe.routing.indices %r : !moe.routing<16384 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<16384 x 2> -> tensor<?x2xf32>
  return %i, %w : tensor<?x2xi32>, tensor<?x2xf32>
}

func.func @masks(%z: tensor<?x4096xf32> {moe.name = "z", moe.dims = ["T"]},
                 %t: tensor<4096xf32> {moe.name = "thresholds"})
    -> (tensor<?x4096xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<4097xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.top_any<min_k = 1> select(%z) using(%t : tensor<4096xf32>)
      : tensor<?x4096xf32> -> !moe.routing<4096 x 4096>
  %i = moe.routing.indices %r : !moe.routing<4096 x 4096> -> tensor<?x4096xi32>
  %o = moe.routing.offsets %r : !moe.routing<4096 x 4096> -> tensor<4097xi32>
  return %i, %o : tensor<?x4096xi32>, tensor<4097xi32>
}

func.func @given(%i: tensor<?x20xi32> {moe.name = "i", moe.dims = ["T"]},
                 %w: tensor<?x20xf32> {moe.name = "w", moe.dims = ["T"]})
    -> (tensor<200001xi32> {moe.name = "offsets"}) {
  %r = moe.routing.make %i, %w : tensor<?x20xi32>, tensor<?x20xf32> -> !moe.routing<200000 x 20>
  %o = moe.routing.offsets %r : !moe.routing<200000 x 20> -> tensor<200001xi32>
  return %o : tensor<200001xi32>
}
