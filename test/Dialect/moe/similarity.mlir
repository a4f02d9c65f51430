// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/ops.mlir --moe-expand-similarity | FileCheck %t/ops.mlir --check-prefix=LINALG
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @cosine
// LINALG-LABEL: @cosine
func.func @cosine(%x: tensor<?x8xbf16>, %c: tensor<4x8xf32>) -> tensor<?x4xf32> {
  // CHECK: moe.similarity %{{.*}}, %{{.*}} metric({{ ?}}cosine) : tensor<?x8xbf16>, tensor<4x8xf32> -> tensor<?x4xf32>
  // LINALG: %[[DOT:.*]] = linalg.matmul
  // LINALG: iterator_types = ["parallel", "reduction"]
  // LINALG: math.sqrt
  // LINALG: arith.maximumf
  // LINALG: arith.divf
  // LINALG: iterator_types = ["parallel", "reduction"]
  // LINALG: %[[S:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]{{.*}} ins(%[[DOT]], %{{.*}}, %{{.*}} : tensor<?x4xf32>, tensor<?xf32>, tensor<4xf32>)
  // LINALG: return %[[S]]
  %s = moe.similarity %x, %c metric(cosine) : tensor<?x8xbf16>, tensor<4x8xf32> -> tensor<?x4xf32>
  return %s : tensor<?x4xf32>
}

// CHECK-LABEL: @dot
// LINALG-LABEL: @dot
func.func @dot(%x: tensor<3x8xf32>, %c: tensor<4x8xf32>) -> tensor<3x4xf32> {
  // CHECK: metric({{ ?}}dot)
  // LINALG: %[[DOT:.*]] = linalg.matmul
  // LINALG-NEXT: return %[[DOT]]
  %s = moe.similarity %x, %c metric(dot) : tensor<3x8xf32>, tensor<4x8xf32> -> tensor<3x4xf32>
  return %s : tensor<3x4xf32>
}

// CHECK-LABEL: @l2
// LINALG-LABEL: @l2
func.func @l2(%x: tensor<?x8xf64>, %c: tensor<4x8xf64>) -> tensor<?x4xf64> {
  // CHECK: metric({{ ?}}l2)
  // LINALG: iterator_types = ["parallel", "parallel", "reduction"]
  // LINALG: %[[D:.*]] = arith.subf
  // LINALG: arith.mulf %[[D]], %[[D]]
  %s = moe.similarity %x, %c metric(l2) : tensor<?x8xf64>, tensor<4x8xf64> -> tensor<?x4xf64>
  return %s : tensor<?x4xf64>
}

//--- invalid.mlir

func.func @widths(%x: tensor<?x8xf32>, %c: tensor<4x7xf32>) {
  // expected-error@+1 {{expects centroids of 8 values like the rows of x}}
  %s = moe.similarity %x, %c metric(dot) : tensor<?x8xf32>, tensor<4x7xf32> -> tensor<?x4xf32>
  return
}

// -----

func.func @dynamic(%x: tensor<?x8xf32>, %c: tensor<?x8xf32>) {
  // expected-error@+1 {{expects a static number of centroids, dimension 0 of centroids}}
  %s = moe.similarity %x, %c metric(dot) : tensor<?x8xf32>, tensor<?x8xf32> -> tensor<?x?xf32>
  return
}

// -----

func.func @result(%x: tensor<?x8xf32>, %c: tensor<4x8xf32>) {
  // expected-error@+1 {{expects a result of type 'tensor<?x4xf32>', a score for each token and centroid, but got 'tensor<?x5xf32>'}}
  %s = moe.similarity %x, %c metric(dot) : tensor<?x8xf32>, tensor<4x8xf32> -> tensor<?x5xf32>
  return
}
