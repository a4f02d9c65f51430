// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%x: tensor<?x8xf32>, %c: tensor<4x8xf32>) {
  // CHECK: moe.similarity %{{.*}}, %{{.*}} metric({{ ?}}cosine) : tensor<?x8xf32>, tensor<4x8xf32> -> tensor<?x4xf32>
  %s = moe.similarity %x, %c metric(cosine) : tensor<?x8xf32>, tensor<4x8xf32> -> tensor<?x4xf32>
  // CHECK: moe.router #moe.nearest_centroid<2> select(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %0 = moe.router #moe.nearest_centroid<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.nearest_centroid<4, temperature = 1.000000e-01 : f64> select
  %1 = moe.router #moe.nearest_centroid<4, temperature = 0.1> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return
}

//--- invalid.mlir

// expected-error@+1 {{expects at least one expert of a query, but got 0}}
func.func private @none() attributes {policy = #moe.nearest_centroid<0>}

// -----

// expected-error@+1 {{expects a positive temperature, but got 0.000000e+00 : f64}}
func.func private @cold() attributes {policy = #moe.nearest_centroid<1, temperature = 0.0>}

// -----

// expected-error@+1 {{expects a temperature of type f64, but got 5.000000e-01 : f32}}
func.func private @of_f32() attributes {policy = #moe.nearest_centroid<1, temperature = 0.5 : f32>}

// -----

func.func @more_than_experts(%s: tensor<?x4xf32>) {
  // expected-error@+1 {{expects #moe.nearest_centroid<5> to select at most all 4 experts, but it selects 5}}
  %0 = moe.router #moe.nearest_centroid<5> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return
}
