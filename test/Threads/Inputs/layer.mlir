func.func @layer(%x: tensor<?x24xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<5x24xf32> {moe.name = "router"},
    %g: tensor<5x17x24xf32> {moe.name = "g"}, %u: tensor<5x17x24xf32> {moe.name = "u"}, %d: tensor<5x24x17xf32> {moe.name = "d"})
    -> (tensor<?x24xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x24xf32>
  %e = tensor.empty(%T) : tensor<?x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x24xf32>, tensor<5x24xf32>) outs(%f : tensor<?x5xf32>) -> tensor<?x5xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x5xf32> -> !moe.routing<5 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x24xf32>, !moe.routing<5 x 2> -> tensor<?x24xf32>
  %out = moe.expert %rows by %r : (tensor<?x24xf32>, !moe.routing<5 x 2>) -> tensor<?x24xf32>
  experts 0 to 5 weights(%g, %u, %d : tensor<5x17x24xf32>, tensor<5x17x24xf32>, tensor<5x24x17xf32>) {
  ^bb0(%t: tensor<?x24xf32>, %gate: tensor<17x24xf32>, %up: tensor<17x24xf32>, %down: tensor<24x17xf32>):
    %o = moe.ffn %t gate(%gate) up(%up) down(%down) activation(#moe.silu) : (tensor<?x24xf32>, tensor<17x24xf32>, tensor<17x24xf32>, tensor<24x17xf32>) -> tensor<?x24xf32>
    moe.yield %o : tensor<?x24xf32>
  }
  %y = moe.combine %out by %r : tensor<?x24xf32>, !moe.routing<5 x 2> -> tensor<?x24xf32>
  return %y : tensor<?x24xf32>
}
