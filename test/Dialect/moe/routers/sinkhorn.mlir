// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%z: tensor<?x4xf32>, %v: tensor<?x4xf32>) {
  // CHECK: moe.router #moe.sinkhorn<1, tolerance = 0.0001, iterations = 1000> select(%{{.*}}) weigh(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %0 = moe.router #moe.sinkhorn<1, tolerance = 1.0e-4, iterations = 1000> select(%z) weigh(%v) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  // CHECK: moe.router #moe.sinkhorn<2, tolerance = 0.0, iterations = 3> select(%{{.*}}) weigh(%{{.*}}) weighing [#moe.sigmoid]
  %1 = moe.router #moe.sinkhorn<2, tolerance = 0.0, iterations = 3> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

//--- invalid.mlir

// expected-error@+1 {{expects at least one expert of a token, but got 0}}
func.func private @none() attributes {policy = #moe.sinkhorn<0, tolerance = 1.0e-4, iterations = 1000>}

// -----

// expected-error@+1 {{expects a tolerance of at least 0}}
func.func private @negative() attributes {policy = #moe.sinkhorn<1, tolerance = -1.0e-4, iterations = 1000>}

// -----

// expected-error@+1 {{expects at least one iteration, but got 0}}
func.func private @iterations() attributes {policy = #moe.sinkhorn<1, tolerance = 1.0e-4, iterations = 0>}

// -----

func.func @more_than_experts(%s: tensor<?x4xf32>) {
  // expected-error@+1 {{iterations = 9> to select at most all 4 experts, but it selects 5}}
  %0 = moe.router #moe.sinkhorn<5, tolerance = 1.0e-4, iterations = 9> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return
}
