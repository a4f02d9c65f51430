// RUN: moe-opt %s --moe-fuse-elementwise --split-input-file | FileCheck %s

#id = affine_map<(i, j) -> (i, j)>

// A producer moves into the reduction that reads each of its elements once.

// CHECK-LABEL: func @into_reduction
//       CHECK:   linalg.fill
//       CHECK:   linalg.generic
//  CHECK-SAME:     iterator_types = ["parallel", "reduction"]
//       CHECK:     arith.mulf
//       CHECK:     arith.addf
//   CHECK-NOT:   linalg.generic
//       CHECK:   return
func.func @into_reduction(%x: tensor<?x64xf32>, %n: index) -> tensor<?xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %sq = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) {
    ^bb0(%a: f32, %o: f32):
      %m = arith.mulf %a, %a : f32
      linalg.yield %m : f32
  } -> tensor<?x64xf32>
  %e1 = tensor.empty(%n) : tensor<?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.reduce { arith.addf } ins(%sq : tensor<?x64xf32>) outs(%z : tensor<?xf32>) dimensions = [1]
  return %s : tensor<?xf32>
}

// -----

// Not into a matmul, which would compute it for every column, nor into two
// users.

// CHECK-LABEL: func @not_twice
//       CHECK:   %[[E:.*]] = linalg.generic
//       CHECK:     math.exp
//       CHECK:   linalg.matmul ins(%[[E]]
//       CHECK:   linalg.generic {{.*}} ins(%[[E]]
//   CHECK-NOT:     math.exp
//       CHECK:     arith.subf
//       CHECK:   linalg.generic {{.*}} ins(%{{.*}}, %[[E]]
func.func @not_twice(%x: tensor<8x64xf32>, %w: tensor<64x8xf32>, %acc: tensor<8x8xf32>)
    -> (tensor<8x8xf32>, tensor<8x64xf32>, tensor<8x64xf32>) {
  %e = tensor.empty() : tensor<8x64xf32>
  %a = linalg.exp ins(%x : tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) -> tensor<8x64xf32>
  %y = linalg.matmul ins(%a, %w : tensor<8x64xf32>, tensor<64x8xf32>) outs(%acc : tensor<8x8xf32>) -> tensor<8x8xf32>
  %b = linalg.sub ins(%a, %x : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) -> tensor<8x64xf32>
  %c = linalg.sub ins(%x, %a : tensor<8x64xf32>, tensor<8x64xf32>) outs(%e : tensor<8x64xf32>) -> tensor<8x64xf32>
  return %y, %b, %c : tensor<8x8xf32>, tensor<8x64xf32>, tensor<8x64xf32>
}

// -----

// Parts of a concatenation become insertions, so that they can be computed in
// place.

// CHECK-LABEL: func @concat
//   CHECK-NOT:   tensor.concat
// CHECK-COUNT-2: tensor.insert_slice
func.func @concat(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %c = tensor.concat dim(0) %a, %b : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %c : tensor<?x8xf32>
}
