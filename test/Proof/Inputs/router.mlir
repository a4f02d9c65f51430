// A layer that is little more than its router: Top-Any over 64 experts, whose
// lists are read by the experts.
func.func @layer(%s: tensor<?x64xf32> {moe.name = "scores", moe.dims = ["T"]},
                 %thresholds: tensor<64xf32> {moe.name = "thresholds"},
                 %x: tensor<?x16xf32> {moe.name = "x", moe.dims = ["T"]},
                 %up: tensor<64x16x16xf32> {moe.name = "experts.up_proj"},
                 %down: tensor<64x16x16xf32> {moe.name = "experts.down_proj"})
    -> (tensor<?x64xi32> {moe.name = "experts", moe.dims = ["T"]},
        tensor<?x64xf32> {moe.name = "weights", moe.dims = ["T"]},
        tensor<65xi32> {moe.name = "offsets"},
        tensor<?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_any<min_k = 1> select(%s) using(%thresholds : tensor<64xf32>)
      : tensor<?x64xf32> -> !moe.routing<64 x 64>
  %i = moe.routing.indices %r : !moe.routing<64 x 64> -> tensor<?x64xi32>
  %w = moe.routing.weights %r : !moe.routing<64 x 64> -> tensor<?x64xf32>
  %o = moe.routing.offsets %r : !moe.routing<64 x 64> -> tensor<65xi32>
  %rows = moe.dispatch %x by %r : tensor<?x16xf32>, !moe.routing<64 x 64> -> tensor<?x16xf32>
  %out = moe.expert %rows by %r : (tensor<?x16xf32>, !moe.routing<64 x 64>) -> tensor<?x16xf32>
    experts 0 to 64 weights(%up, %down : tensor<64x16x16xf32>, tensor<64x16x16xf32>) {
    ^bb0(%t: tensor<?x16xf32>, %u: tensor<16x16xf32>, %d: tensor<16x16xf32>):
      %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu)
          : (tensor<?x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
      moe.yield %f : tensor<?x16xf32>
    }
  %y = moe.combine %out by %r : tensor<?x16xf32>, !moe.routing<64 x 64> -> tensor<?x16xf32>
  return %i, %w, %o, %y : tensor<?x64xi32>, tensor<?x64xf32>, tensor<65xi32>, tensor<?x16xf32>
}
