// Adapters of low rank as experts of the plugin's dialect.
!x = tensor<?x64xf32>
!routing = !moe.routing<8 x 2>

func.func @layer(%x: !x {moe.name = "x", moe.dims = ["T"]},
                 %wr: tensor<8x64xf32> {moe.name = "router.weight"},
                 %a: tensor<8x4x64xf32> {moe.name = "adapters.down"},
                 %b: tensor<8x64x4xf32> {moe.name = "adapters.up"})
    -> (!x {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : !x
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>,
                       affine_map<(m, n, k) -> (n, k)>,
                       affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : !x, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !routing
  %rows = moe.dispatch %x by %r : !x, !routing -> !x
  %out = acme.low_rank %rows by %r down(%a) up(%b)
      : (!x, !routing, tensor<8x4x64xf32>, tensor<8x64x4xf32>) -> !x
  %y = moe.combine %out by %r init(%x : !x) : !x, !routing -> !x
  return %y : !x
}
