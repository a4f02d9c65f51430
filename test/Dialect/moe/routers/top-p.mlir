// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%s: tensor<?x4xf32>) -> (!moe.routing<4 x 4>, !moe.routing<4 x 4>) {
  // CHECK: moe.router #moe.top_p<0.4, strict = true> select(%{{.*}}) weigh(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %0 = moe.router #moe.top_p<0.4, strict = true> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  // CHECK: moe.router #moe.top_p<0.4, strict = false>
  %1 = moe.router #moe.top_p<0.4, strict = false> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return %0, %1 : !moe.routing<4 x 4>, !moe.routing<4 x 4>
}

//--- invalid.mlir

// expected-error@+1 {{expects a finite sum of scores}}
func.func private @infinite() attributes {policy = #moe.top_p<0x7FF0000000000000, strict = true>}

// -----

func.func @slots(%s: tensor<?x4xf32>) {
  // expected-error@+1 {{expects a result of type '!moe.routing<4 x 4>', as #moe.top_p<0.4, strict = true> of 4 experts gives}}
  moe.router #moe.top_p<0.4, strict = true> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}
