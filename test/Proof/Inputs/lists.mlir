// Routers alone, one of each kind of kernel: a mask over experts, lists of best
// experts in lanes, groups. What is serial in them is in their own bodies.

func.func @any(%s: tensor<?x64xf32> {moe.name = "scores", moe.dims = ["T"]},
               %thresholds: tensor<64xf32> {moe.name = "thresholds"})
    -> (tensor<?x64xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x64xf32> {moe.name = "weights", moe.dims = ["T"]},
        tensor<65xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.top_any<min_k = 1> select(%s) using(%thresholds : tensor<64xf32>)
      : tensor<?x64xf32> -> !moe.routing<64 x 64>
  %i = moe.routing.indices %r : !moe.routing<64 x 64> -> tensor<?x64xi32>
  %w = moe.routing.weights %r : !moe.routing<64 x 64> -> tensor<?x64xf32>
  %o = moe.routing.offsets %r : !moe.routing<64 x 64> -> tensor<65xi32>
  return %i, %w, %o : tensor<?x64xi32>, tensor<?x64xf32>, tensor<65xi32>
}

func.func @best(%s: tensor<?x64xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x4xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x4xf32> {moe.name = "weights", moe.dims = ["T"]},
        tensor<65xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.top_k<4> select(%s) weigh(%s)
      weighing [#moe.softmax] : tensor<?x64xf32> -> !moe.routing<64 x 4>
  %i = moe.routing.indices %r : !moe.routing<64 x 4> -> tensor<?x4xi32>
  %w = moe.routing.weights %r : !moe.routing<64 x 4> -> tensor<?x4xf32>
  %o = moe.routing.offsets %r : !moe.routing<64 x 4> -> tensor<65xi32>
  return %i, %w, %o : tensor<?x4xi32>, tensor<?x4xf32>, tensor<65xi32>
}

func.func @grouped(%s: tensor<?x64xf32> {moe.name = "scores", moe.dims = ["T"]})
    -> (tensor<?x4xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x4xf32> {moe.name = "weights", moe.dims = ["T"]},
        tensor<65xi32> {moe.name = "offsets"}) {
  %r = moe.router #moe.group_top_k<4, groups = 8, keep = 4, reduce = top2> select(%s) weigh(%s)
      weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x64xf32> -> !moe.routing<64 x 4>
  %i = moe.routing.indices %r : !moe.routing<64 x 4> -> tensor<?x4xi32>
  %w = moe.routing.weights %r : !moe.routing<64 x 4> -> tensor<?x4xf32>
  %o = moe.routing.offsets %r : !moe.routing<64 x 4> -> tensor<65xi32>
  return %i, %w, %o : tensor<?x4xi32>, tensor<?x4xf32>, tensor<65xi32>
}
