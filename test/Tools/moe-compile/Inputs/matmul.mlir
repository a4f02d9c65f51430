// Ordinary IR: a projection and a softmax, nothing of a layer. Compiled with --no-fuse,
// as products with weights are kernels otherwise, with packed weights.
#a = affine_map<(m, n, k) -> (m, k)>
#b = affine_map<(m, n, k) -> (n, k)>
#c = affine_map<(m, n, k) -> (m, n)>
func.func @project(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]},
                   %w: tensor<16x64xf32> {moe.name = "w"})
    -> (tensor<?x16xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%t) : tensor<?x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x16xf32>) -> tensor<?x16xf32>
  %z = linalg.matmul indexing_maps = [#a, #b, #c]
      ins(%x, %w : tensor<?x64xf32>, tensor<16x64xf32>)
      outs(%f : tensor<?x16xf32>) -> tensor<?x16xf32>
  %e2 = tensor.empty(%t) : tensor<?x16xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x16xf32>) outs(%e2 : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %s : tensor<?x16xf32>
}
