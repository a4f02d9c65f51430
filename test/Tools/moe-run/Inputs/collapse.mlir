// A router with a correction bias.
func.func @layer(%x: tensor<?x16xf32> {moe.name = "x", moe.dims = ["T"]},
                 %w: tensor<8x16xf32> {moe.name = "router.weight"},
                 %b: tensor<8xf32> {moe.name = "router.bias"},
                 %u: tensor<8x16x16xf32> {moe.name = "up"},
                 %d: tensor<8x16x16xf32> {moe.name = "down"})
    -> (tensor<?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %t = tensor.dim %x, %c0 : tensor<?x16xf32>
  %empty = tensor.empty(%t) : tensor<?x8xf32>
  %zeros = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(t, e, h) -> (t, h)>, affine_map<(t, e, h) -> (e, h)>, affine_map<(t, e, h) -> (t, e)>]
      ins(%x, %w : tensor<?x16xf32>, tensor<8x16xf32>) outs(%zeros : tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (e)>, affine_map<(t, e) -> (t, e)>], iterator_types = ["parallel", "parallel"]}
      ins(%z, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%empty : tensor<?x8xf32>) {
  ^bb0(%a: f32, %k: f32, %o: f32):
    %r = arith.addf %a, %k : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<1> select(%c) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 1>
  %rows = moe.dispatch %x by %r : tensor<?x16xf32>, !moe.routing<8 x 1> -> tensor<?x16xf32>
  %out = moe.expert %rows by %r : (tensor<?x16xf32>, !moe.routing<8 x 1>) -> tensor<?x16xf32>
  experts 0 to 8 weights(%u, %d : tensor<8x16x16xf32>, tensor<8x16x16xf32>) {
  ^bb0(%own: tensor<?x16xf32>, %p: tensor<16x16xf32>, %q: tensor<16x16xf32>):
    %f = moe.ffn %own up(%p) down(%q) activation(#moe.relu) : (tensor<?x16xf32>, tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<?x16xf32>
    moe.yield %f : tensor<?x16xf32>
  }
  %y = moe.combine %out by %r : tensor<?x16xf32>, !moe.routing<8 x 1> -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}
