// An expert whose weights are multiplied along their columns.
func.func @layer(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
                 %s: tensor<?x4xf32> {moe.name = "s", moe.dims = ["T"]},
                 %w: tensor<4x32x32xf32> {moe.name = "w"})
    -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<4 x 2>) -> tensor<?x32xf32>
  experts 0 to 4 weights(%w : tensor<4x32x32xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %m: tensor<32x32xf32>):
    %zero = arith.constant 0.0 : f32
    %c0 = arith.constant 0 : index
    %n = tensor.dim %t, %c0 : tensor<?x32xf32>
    %e = tensor.empty(%n) : tensor<?x32xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
    %p = linalg.matmul ins(%t, %m : tensor<?x32xf32>, tensor<32x32xf32>) outs(%f : tensor<?x32xf32>) -> tensor<?x32xf32>
    moe.yield %p : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
