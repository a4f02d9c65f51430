// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%s: tensor<?x4xf32>) -> (!moe.routing<4 x 4>, !moe.routing<4 x 4>) {
  // CHECK: moe.router #moe.min_p<0.25> select(%{{.*}}) weigh(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %0 = moe.router #moe.min_p<0.25> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  // CHECK: moe.router #moe.min_p<1.0> select(%{{.*}}) weigh(%{{.*}}) weighing [#moe.normalize<sum, eps = 0.0>]
  %1 = moe.router #moe.min_p<1.0> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>]
      : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return %0, %1 : !moe.routing<4 x 4>, !moe.routing<4 x 4>
}

//--- invalid.mlir

// expected-error@+1 {{expects a fraction of the largest score from 0 to 1, but it is 1.500000e+00}}
func.func private @large() attributes {policy = #moe.min_p<1.5>}

// -----

// expected-error@+1 {{expects a fraction of the largest score from 0 to 1, but it is -2.500000e-01}}
func.func private @negative() attributes {policy = #moe.min_p<-0.25>}

// -----

// expected-error@+1 {{expects a fraction of the largest score from 0 to 1, but it is nan}}
func.func private @nan() attributes {policy = #moe.min_p<0x7FF8000000000000>}
