// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/ops.mlir --emit-bytecode | moe-opt --allow-bytecode | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%s: tensor<?x8xf32>, %t: tensor<8xf32>) -> (!moe.routing<8 x 8>, !moe.routing<8 x 8>, !moe.routing<8 x 8>) {
  // CHECK: moe.router #moe.top_any<min_k = 0> select(%{{.*}}) using(%{{.*}} : tensor<8xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %0 = moe.router #moe.top_any<min_k = 0> select(%s) using(%t : tensor<8xf32>)
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  // CHECK: #moe.top_any<min_k = 1>
  %1 = moe.router #moe.top_any<min_k = 1, fallback = one> select(%s) using(%t : tensor<8xf32>)
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  // CHECK: #moe.top_any<min_k = 1, fallback = score>
  %2 = moe.router #moe.top_any<fallback = score, min_k = 1> select(%s) using(%t : tensor<8xf32>)
      : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return %0, %1, %2 : !moe.routing<8 x 8>, !moe.routing<8 x 8>, !moe.routing<8 x 8>
}

//--- invalid.mlir

// expected-error@+1 {{expects min_k to be 0 or 1, but it is 2}}
func.func private @min_k() attributes {policy = #moe.top_any<min_k = 2>}

// -----

func.func @no_thresholds(%s: tensor<?x8xf32>) {
  // expected-error@+1 {{expects the thresholds of the 8 experts in `using`, a tensor<8xf32>, but got nothing}}
  moe.router #moe.top_any<min_k = 0> select(%s) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @wrong_size(%s: tensor<?x8xf32>, %t: tensor<7xf32>) {
  // expected-error@+1 {{expects the thresholds of the 8 experts in `using`, a tensor<8xf32>, but got 'tensor<7xf32>'}}
  moe.router #moe.top_any<min_k = 0> select(%s) using(%t : tensor<7xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @unknown_size(%s: tensor<?x8xf32>, %t: tensor<?xf32>) {
  // expected-error@+1 {{expects the thresholds of the 8 experts}}
  moe.router #moe.top_any<min_k = 0> select(%s) using(%t : tensor<?xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @two(%s: tensor<?x8xf32>, %t: tensor<8xf32>) {
  // expected-error@+1 {{but got 'tensor<8xf32>', 'tensor<8xf32>'}}
  moe.router #moe.top_any<min_k = 0> select(%s) using(%t, %t : tensor<8xf32>, tensor<8xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @values(%s: tensor<?x8xf32>, %t: tensor<8xf32>) {
  // expected-error@+1 {{has scores in `weigh`, but #moe.top_any<min_k = 0> makes the values of the chosen experts itself}}
  moe.router #moe.top_any<min_k = 0> select(%s) weigh(%s) using(%t : tensor<8xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  return
}

// -----

func.func @slots(%s: tensor<?x8xf32>, %t: tensor<8xf32>) {
  // expected-error@+1 {{expects a result of type '!moe.routing<8 x 8>', as #moe.top_any<min_k = 0> of 8 experts gives}}
  moe.router #moe.top_any<min_k = 0> select(%s) using(%t : tensor<8xf32>) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return
}
