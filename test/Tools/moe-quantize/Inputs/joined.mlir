// Gate and up are one tensor, as some checkpoints have them.
func.func @layer(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
                 %s: tensor<?x4xf32> {moe.name = "s", moe.dims = ["T"]},
                 %gate_up: tensor<4x64x64xf32> {moe.name = "gate_up"},
                 %down: tensor<4x64x32xf32> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %gate = tensor.extract_slice %gate_up[0, 0, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %up = tensor.extract_slice %gate_up[0, 32, 0] [4, 32, 64] [1, 1, 1] : tensor<4x64x64xf32> to tensor<4x32x64xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<4 x 2>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%gate, %up, %down : tensor<4x32x64xf32>, tensor<4x32x64xf32>, tensor<4x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %g: tensor<32x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
