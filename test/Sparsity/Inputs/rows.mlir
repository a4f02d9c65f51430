// Layers in which tokens have fewer rows than slots.

// Any number of experts, none included.
func.func @any(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
    %x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
    %up: tensor<8x128x64xf32> {moe.name = "up"}, %down: tensor<8x64x128xf32> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %half = arith.constant dense<0.5> : tensor<8xf32>
  %r = moe.router #moe.top_any<min_k = 0> select(%s) using(%half : tensor<8xf32>)
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 8> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 8>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x128x64xf32>, tensor<8x64x128xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<128x64xf32>, %d: tensor<64x128xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x64xf32>, tensor<128x64xf32>, tensor<64x128xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 8> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Two, of which each expert keeps 5.
func.func @limited(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["T"]},
    %x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
    %up: tensor<8x128x64xf32> {moe.name = "up"}, %down: tensor<8x64x128xf32> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %all = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %r = moe.routing.limit %all capacity 5 : !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x128x64xf32>, tensor<8x64x128xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<128x64xf32>, %d: tensor<64x128xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x64xf32>, tensor<128x64xf32>, tensor<64x128xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Three slots, with -1 in those that are not used.
func.func @given(%i: tensor<?x3xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %w: tensor<?x3xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
    %x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
    %up: tensor<8x128x64xf32> {moe.name = "up"}, %down: tensor<8x64x128xf32> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.routing.make %i, %w : tensor<?x3xi32>, tensor<?x3xf32> -> !moe.routing<8 x 3>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 3> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 3>) -> tensor<?x64xf32>
  experts 0 to 8 weights(%up, %down : tensor<8x128x64xf32>, tensor<8x64x128xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<128x64xf32>, %d: tensor<64x128xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
        : (tensor<?x64xf32>, tensor<128x64xf32>, tensor<64x128xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 3> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
