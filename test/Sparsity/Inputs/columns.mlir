// A product with what is left of rows above 0, in the place of a down projection.
#xk = affine_map<(t, n, k) -> (t, k)>
#wk = affine_map<(t, n, k) -> (n, k)>
#z = affine_map<(t, n, k) -> (t, n)>
#tk = affine_map<(t, k) -> (t, k)>
func.func @columns(%i: tensor<?x1xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %w: tensor<?x1xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
    %x: tensor<?x200xf32> {moe.name = "x", moe.dims = ["T"]},
    %down: tensor<4x64x200xf32> {moe.name = "down"})
    -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.routing.make %i, %w : tensor<?x1xi32>, tensor<?x1xf32> -> !moe.routing<4 x 1>
  %rows = moe.dispatch %x by %r : tensor<?x200xf32>, !moe.routing<4 x 1> -> tensor<?x200xf32>
  %out = moe.expert %rows by %r : (tensor<?x200xf32>, !moe.routing<4 x 1>) -> tensor<?x64xf32>
  experts 0 to 4 weights(%down : tensor<4x64x200xf32>) {
  ^bb0(%t: tensor<?x200xf32>, %d: tensor<64x200xf32>):
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %n = tensor.dim %t, %c0 : tensor<?x200xf32>
    %e = tensor.empty(%n) : tensor<?x200xf32>
    %h = linalg.generic {indexing_maps = [#tk, #tk], iterator_types = ["parallel", "parallel"]}
        ins(%t : tensor<?x200xf32>) outs(%e : tensor<?x200xf32>) {
    ^bb0(%v: f32, %o: f32):
      %p = arith.maximumf %v, %zero : f32
      linalg.yield %p : f32
    } -> tensor<?x200xf32>
    %eo = tensor.empty(%n) : tensor<?x64xf32>
    %fo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x64xf32>) -> tensor<?x64xf32>
    %f = linalg.matmul indexing_maps = [#xk, #wk, #z]
        ins(%h, %d : tensor<?x200xf32>, tensor<64x200xf32>) outs(%fo : tensor<?x64xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<4 x 1> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
