// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%p: tensor<?x8xf32>) -> (!moe.routing<8 x 8>, !moe.routing<8 x 8>) {
  // CHECK: moe.router #moe.expert_choice<capacity = 64> select(%{{.*}}) weigh(%{{.*}}) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %0 = moe.router #moe.expert_choice<capacity = 64> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  // CHECK: moe.router #moe.expert_choice<factor = 2.000000e+00 : f64>
  %1 = moe.router #moe.expert_choice<factor = 2.0> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return %0, %1 : !moe.routing<8 x 8>, !moe.routing<8 x 8>
}

//--- invalid.mlir

// expected-error@+1 {{expects how many tokens an expert takes: a positive `capacity`, or a `factor` of tokens / experts}}
func.func private @neither() attributes {policy = #moe.expert_choice<capacity = 0>}

// -----

// expected-error@+1 {{expects a positive capacity, but it is -3}}
func.func private @negative() attributes {policy = #moe.expert_choice<capacity = -3>}

// -----

// expected-error@+1 {{expects either `capacity` or `factor`, but has both}}
func.func private @both() attributes {policy = #moe.expert_choice<capacity = 3, factor = 2.0>}

// -----

// expected-error@+1 {{expects a finite positive factor}}
func.func private @zero() attributes {policy = #moe.expert_choice<factor = 0.0>}

// -----

func.func @no_scores() {
  // expected-error@+1 {{expects scores in `select`, by which #moe.expert_choice<capacity = 2> selects}}
  "moe.router"() <{operandSegmentSizes = array<i32: 0, 0, 0>, policy = #moe.expert_choice<capacity = 2>}> ({}) : () -> !moe.routing<8 x 8>
  return
}
