// Probabilities of all experts are the weights of the chosen.
func.func @layer(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
                 %z: tensor<?x8xf32> {moe.name = "z", moe.dims = ["T"]},
                 %u: tensor<8x16x32xf32> {moe.name = "up"},
                 %d: tensor<8x32x16xf32> {moe.name = "down"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x32xf32>
  %empty = tensor.empty(%t) : tensor<?x8xf32>
  %p = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%u, %d : tensor<8x16x32xf32>, tensor<8x32x16xf32>) {
  ^bb0(%o: tensor<?x32xf32>, %a: tensor<16x32xf32>, %k: tensor<32x16xf32>):
    %f = moe.ffn %o up(%a) down(%k) activation(#moe.relu) : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<32x16xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
