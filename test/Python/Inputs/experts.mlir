// Experts alone, whose routing is an argument, and the same with a router.
module @tiny {
func.func private @body(%x: tensor<?x32xf32>, %r: !moe.routing<8 x 2>, %g: tensor<8x16x32xf32>, %u: tensor<8x16x32xf32>, %d: tensor<8x32x16xf32>) -> tensor<?x32xf32> {
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x16x32xf32>, tensor<8x16x32xf32>, tensor<8x32x16xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<16x32xf32>, %b: tensor<16x32xf32>, %c: tensor<32x16xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<16x32xf32>, tensor<32x16xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

func.func @experts(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %w: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
    %g: tensor<8x16x32xf32> {moe.name = "experts.gate_proj"},
    %u: tensor<8x16x32xf32> {moe.name = "experts.up_proj"},
    %d: tensor<8x32x16xf32> {moe.name = "experts.down_proj"}) -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %y = func.call @body(%x, %r, %g, %u, %d) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x16x32xf32>, tensor<8x16x32xf32>, tensor<8x32x16xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

func.func @layer(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %s: tensor<?x8xf32> {moe.name = "scores", moe.dims = ["T"]},
    %g: tensor<8x16x32xf32> {moe.name = "experts.gate_proj"},
    %u: tensor<8x16x32xf32> {moe.name = "experts.up_proj"},
    %d: tensor<8x32x16xf32> {moe.name = "experts.down_proj"}) -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %y = func.call @body(%x, %r, %g, %u, %d) : (tensor<?x32xf32>, !moe.routing<8 x 2>, tensor<8x16x32xf32>, tensor<8x16x32xf32>, tensor<8x32x16xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
}
