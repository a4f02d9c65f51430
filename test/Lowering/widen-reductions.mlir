// RUN: moe-opt %s --moe-widen-reductions --arith-emulate-unsupported-floats="source-types=bf16,f16 target-type=f32" --canonicalize | FileCheck %s

// One sum in f32, rounded once.
// CHECK-LABEL: func.func @matmul
// CHECK: linalg.fill {{.*}} -> tensor<?x5xf32>
// CHECK: linalg.generic
// CHECK: ^bb0(%[[A:.*]]: bf16, %[[B:.*]]: bf16, %[[SUM:.*]]: f32):
// CHECK-NOT: %[[SUM]]
// CHECK: %[[NEXT:.*]] = arith.addf %[[SUM]], %{{.*}} : f32
// CHECK-NEXT: linalg.yield %[[NEXT]] : f32
// CHECK: linalg.generic
// CHECK: arith.truncf %{{.*}} : f32 to bf16
func.func @matmul(%x: tensor<?x300xbf16>, %w: tensor<300x5xbf16>, %e: tensor<?x5xbf16>) -> tensor<?x5xbf16> {
  %zero = arith.constant 0.0 : bf16
  %f = linalg.fill ins(%zero : bf16) outs(%e : tensor<?x5xbf16>) -> tensor<?x5xbf16>
  %y = linalg.matmul ins(%x, %w : tensor<?x300xbf16>, tensor<300x5xbf16>) outs(%f : tensor<?x5xbf16>) -> tensor<?x5xbf16>
  return %y : tensor<?x5xbf16>
}

// f32 stays as it is.
// CHECK-LABEL: func.func @wide
// CHECK: linalg.matmul
func.func @wide(%x: tensor<?x300xbf16>, %w: tensor<300x5xbf16>, %e: tensor<?x5xf32>) -> tensor<?x5xf32> {
  %y = linalg.matmul ins(%x, %w : tensor<?x300xbf16>, tensor<300x5xbf16>) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  return %y : tensor<?x5xf32>
}
