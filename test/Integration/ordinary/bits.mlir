// The same bits for a token, however many tokens share the call and however
// many threads run it: 1 is a masked tail, 3 no whole block, 70 has all of it.

// RUN: mkdir -p %t.d
// RUN: moe-compile %s --emit=shared,manifest --target=native -o %t
// RUN: %python %S/Inputs/rows.py make %t.d/x1.npy 1 100
// RUN: %python %S/Inputs/rows.py make %t.d/x3.npy 3 100
// RUN: %python %S/Inputs/rows.py make %t.d/x70.npy 70 100
// RUN: mkdir -p %t.1 %t.3 %t.70
// RUN: cp %t.d/x1.npy %t.1/x.npy && cp %t.d/x3.npy %t.3/x.npy && cp %t.d/x70.npy %t.70/x.npy
// RUN: moe-run %t.json --random=1 --inputs=%t.1/x.npy --output=%t.1/y.npy
// RUN: moe-run %t.json --random=1 --inputs=%t.3/x.npy --output=%t.3/y.npy
// RUN: moe-run %t.json --random=1 --inputs=%t.70/x.npy --output=%t.70/y.npy
// RUN: moe-run %t.json --random=1 --inputs=%t.70/x.npy --output=%t.70/y1.npy --threads=1
// RUN: %python %S/Inputs/rows.py compare %t.1/y.npy %t.70/y.npy | FileCheck %s --check-prefix=ONE
// RUN: %python %S/Inputs/rows.py compare %t.3/y.npy %t.70/y.npy | FileCheck %s --check-prefix=THREE
// RUN: %python %S/Inputs/rows.py compare %t.70/y.npy %t.70/y1.npy | FileCheck %s --check-prefix=ALL

// ONE: 1 rows are equal
// THREE: 3 rows are equal
// ALL: 70 rows are equal

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

func.func @layer(%x: tensor<?x100xf32> {moe.name = "x", moe.dims = ["T"]},
                 %w: tensor<90x100xf32> {moe.name = "w"},
                 %v: tensor<90x30xf32> {moe.name = "v"})
    -> (tensor<?x30xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x100xf32>
  %e = tensor.empty(%T) : tensor<?x90xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x90xf32>) -> tensor<?x90xf32>
  %h = linalg.matmul indexing_maps = [#mk, #nk, #mn]
      ins(%x, %w : tensor<?x100xf32>, tensor<90x100xf32>)
      outs(%f : tensor<?x90xf32>) -> tensor<?x90xf32>
  %p = linalg.softmax dimension(1) ins(%h : tensor<?x90xf32>) outs(%e : tensor<?x90xf32>) -> tensor<?x90xf32>
  %e2 = tensor.empty(%T) : tensor<?x30xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<?x30xf32>) -> tensor<?x30xf32>
  %y = linalg.matmul ins(%p, %v : tensor<?x90xf32>, tensor<90x30xf32>)
                     outs(%f2 : tensor<?x30xf32>) -> tensor<?x30xf32>
  return %y : tensor<?x30xf32>
}
