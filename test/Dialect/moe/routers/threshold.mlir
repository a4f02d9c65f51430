// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%s: tensor<?x4xf32>) -> (!moe.routing<4 x 4>, !moe.routing<4 x 4>) {
  // CHECK: moe.router #moe.threshold<0.5, min_k = 0> select(%{{.*}}) weigh(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %0 = moe.router #moe.threshold<0.5, min_k = 0> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  // Without values to weigh by, all weights are 1.
  // CHECK: moe.router #moe.threshold<-1.25, min_k = 1> select(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %1 = moe.router #moe.threshold<-1.25, min_k = 1> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return %0, %1 : !moe.routing<4 x 4>, !moe.routing<4 x 4>
}

// One expert: the gate of retrieval.
// CHECK-LABEL: @one
func.func @one(%s: tensor<?x1xf32>) -> !moe.routing<1 x 1> {
  // CHECK: #moe.threshold<0.5, min_k = 0>
  %0 = moe.router #moe.threshold<0.5, min_k = 0> select(%s) weigh(%s) : tensor<?x1xf32> -> !moe.routing<1 x 1>
  return %0 : !moe.routing<1 x 1>
}

//--- invalid.mlir

// expected-error@+1 {{expects a finite threshold}}
func.func private @infinite() attributes {policy = #moe.threshold<0x7FF0000000000000, min_k = 0>}

// -----

// expected-error@+1 {{expects min_k to be 0 or 1, but it is -1}}
func.func private @min_k() attributes {policy = #moe.threshold<0.5, min_k = -1>}

// -----

func.func @operands(%s: tensor<?x4xf32>, %t: tensor<4xf32>) {
  // expected-error@+1 {{expects no operands in `using`, as #moe.threshold<0.5, min_k = 0> takes none, but has 1}}
  moe.router #moe.threshold<0.5, min_k = 0> select(%s) weigh(%s) using(%t : tensor<4xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return
}
