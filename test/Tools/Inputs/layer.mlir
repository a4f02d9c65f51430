func.func @layer(%x: tensor<?xSIZExf32> {moe.name = "x", moe.dims = ["T"]},
                 %wr: tensor<4xSIZExf32> {moe.name = "router"},
                 %wu: tensor<4x16xSIZExf32> {moe.name = "up"},
                 %wd: tensor<4xSIZEx16xf32> {moe.name = "down"})
    -> (tensor<?xSIZExf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?xSIZExf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?xSIZExf32>, tensor<4xSIZExf32>) outs(%f0 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?xSIZExf32>, !moe.routing<4 x 2> -> tensor<?xSIZExf32>
  %out = moe.expert %rows by %r : (tensor<?xSIZExf32>, !moe.routing<4 x 2>) -> tensor<?xSIZExf32>
  experts 0 to 4 weights(%wu, %wd : tensor<4x16xSIZExf32>, tensor<4xSIZEx16xf32>) {
  ^bb0(%t: tensor<?xSIZExf32>, %u: tensor<16xSIZExf32>, %d: tensor<SIZEx16xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.silu) : (tensor<?xSIZExf32>, tensor<16xSIZExf32>, tensor<SIZEx16xf32>) -> tensor<?xSIZExf32>
    moe.yield %f : tensor<?xSIZExf32>
  }
  %y = moe.combine %out by %r : tensor<?xSIZExf32>, !moe.routing<4 x 2> -> tensor<?xSIZExf32>
  return %y : tensor<?xSIZExf32>
}
