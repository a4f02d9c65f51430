// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%s: tensor<?x4xf32>, %k: tensor<?xi32>) -> (!moe.routing<4 x 2>, !moe.routing<4 x 4>) {
  // CHECK: moe.router #moe.token_k<2> select(%{{.*}}) weigh(%{{.*}}) using(%{{.*}} : tensor<?xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %0 = moe.router #moe.token_k<2> select(%s) weigh(%s) using(%k : tensor<?xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.token_k<4> select(%{{.*}}) using(%{{.*}} : tensor<?xi32>) weighing [#moe.softmax]
  %1 = moe.router #moe.token_k<4> select(%s) using(%k : tensor<?xi32>) weighing [#moe.softmax]
      : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return %0, %1 : !moe.routing<4 x 2>, !moe.routing<4 x 4>
}

//--- invalid.mlir

// expected-error@+1 {{expects at least one expert of a token, but got 0}}
func.func private @none() attributes {policy = #moe.token_k<0>}

// -----

func.func @more_than_experts(%s: tensor<?x4xf32>, %k: tensor<?xi32>) {
  // expected-error@+1 {{expects #moe.token_k<5> to select at most all 4 experts, but it selects 5}}
  %0 = moe.router #moe.token_k<5> select(%s) using(%k : tensor<?xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  return
}

// -----

func.func @missing(%s: tensor<?x4xf32>) {
  // expected-error@+1 {{expects the number of experts of each token in `using`, a tensor<?xi32>, but got nothing}}
  %0 = moe.router #moe.token_k<2> select(%s) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @of_floats(%s: tensor<?x4xf32>, %k: tensor<?xf32>) {
  // expected-error@+1 {{expects the number of experts of each token in `using`, a tensor<?xi32>, but got 'tensor<?xf32>'}}
  %0 = moe.router #moe.token_k<2> select(%s) using(%k : tensor<?xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @other_tokens(%s: tensor<3x4xf32>, %k: tensor<5xi32>) {
  // expected-error@+1 {{expects as many tokens in all operands, but got 3 and 5}}
  %0 = moe.router #moe.token_k<2> select(%s) using(%k : tensor<5xi32>) : tensor<3x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @no_scores(%k: tensor<?xi32>) {
  // expected-error@+1 {{expects scores in `select`, by which #moe.token_k<2> selects}}
  %0 = moe.router #moe.token_k<2> using(%k : tensor<?xi32>) : !moe.routing<4 x 2>
  return
}
