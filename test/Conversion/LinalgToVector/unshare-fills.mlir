// RUN: moe-opt %s --moe-unshare-fills | FileCheck %s

// Each matmul starts from zeros of its own; the reader keeps the first fill.

// CHECK-LABEL: func @two
//       CHECK:   %[[KEPT:.*]] = linalg.fill
//       CHECK:   %[[A:.*]] = linalg.fill
//       CHECK:   linalg.matmul {{.*}} outs(%[[A]]
//       CHECK:   %[[B:.*]] = linalg.fill
//       CHECK:   linalg.matmul {{.*}} outs(%[[B]]
//       CHECK:   linalg.add ins(%{{.*}}, %[[KEPT]]
func.func @two(%x: tensor<8x8xf32>, %y: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %a = linalg.matmul ins(%x, %y : tensor<8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32>
  %b = linalg.matmul ins(%y, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32>
  %c = linalg.add ins(%a, %z : tensor<8x8xf32>, tensor<8x8xf32>) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %b, %c : tensor<8x8xf32>, tensor<8x8xf32>
}

// CHECK-LABEL: func @one
// CHECK-COUNT-1: linalg.fill
//   CHECK-NOT:   linalg.fill
func.func @one(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %a = linalg.matmul ins(%x, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %a : tensor<8x8xf32>
}

// A fill of something that is no new tensor stays.

// CHECK-LABEL: func @argument
// CHECK-COUNT-1: linalg.fill
//   CHECK-NOT:   linalg.fill
func.func @argument(%x: tensor<8x8xf32>, %e: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8x8xf32>) -> tensor<8x8xf32>
  %a = linalg.matmul ins(%x, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %a, %z : tensor<8x8xf32>, tensor<8x8xf32>
}
