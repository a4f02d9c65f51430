// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%v: tensor<?x4xf32>, %ids: tensor<?xi32>, %table: tensor<9x2xi32>) {
  // CHECK: moe.router #moe.hash<table, 2> weigh(%{{.*}}) using(%{{.*}}, %{{.*}} : tensor<?xi32>, tensor<9x2xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %0 = moe.router #moe.hash<table, 2> weigh(%v) using(%ids, %table : tensor<?xi32>, tensor<9x2xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.hash<table, 2> using(%{{.*}}, %{{.*}} : tensor<?xi32>, tensor<9x2xi32>) : !moe.routing<4 x 2>
  %1 = moe.router #moe.hash<table, 2> using(%ids, %table : tensor<?xi32>, tensor<9x2xi32>) : !moe.routing<4 x 2>
  // CHECK: moe.router #moe.hash<mod, 1> using(%{{.*}} : tensor<?xi32>) : !moe.routing<4 x 1>
  %2 = moe.router #moe.hash<mod, 1> using(%ids : tensor<?xi32>) : !moe.routing<4 x 1>
  // A constant table with different experts in each row.
  %good = arith.constant dense<[[0, 3], [2, 1], [1, 2]]> : tensor<3x2xi32>
  %3 = moe.router #moe.hash<table, 2> using(%ids, %good : tensor<?xi32>, tensor<3x2xi32>) : !moe.routing<4 x 2>
  return
}

//--- invalid.mlir

// expected-error@+1 {{expects at least one expert of a token, but got 0}}
func.func private @none() attributes {policy = #moe.hash<table, 0>}

// -----

// expected-error@+1 {{expects one expert of a token with mod, but got 2; more of them are rows of a table}}
func.func private @mod_of_two() attributes {policy = #moe.hash<mod, 2>}

// -----

func.func @more_than_experts(%ids: tensor<?xi32>, %t: tensor<9x5xi32>) {
  // expected-error@+1 {{expects #moe.hash<table, 5> to select at most all 4 experts, but it selects 5}}
  %0 = moe.router #moe.hash<table, 5> using(%ids, %t : tensor<?xi32>, tensor<9x5xi32>) : !moe.routing<4 x 4>
  return
}

// -----

func.func @no_table(%ids: tensor<?xi32>) {
  // expected-error@+1 {{expects the ids of the tokens and a table of rows of 2 experts in `using`, a tensor<?xi32> and a tensor<Vx2xi32> with a static V, but got 'tensor<?xi32>'}}
  %0 = moe.router #moe.hash<table, 2> using(%ids : tensor<?xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @columns(%ids: tensor<?xi32>, %t: tensor<9x3xi32>) {
  // expected-error@+1 {{but got 'tensor<?xi32>', 'tensor<9x3xi32>'}}
  %0 = moe.router #moe.hash<table, 2> using(%ids, %t : tensor<?xi32>, tensor<9x3xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @dynamic(%ids: tensor<?xi32>, %t: tensor<?x2xi32>) {
  // expected-error@+1 {{with a static V, but got 'tensor<?xi32>', 'tensor<?x2xi32>'}}
  %0 = moe.router #moe.hash<table, 2> using(%ids, %t : tensor<?xi32>, tensor<?x2xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @wide_ids(%ids: tensor<?xi64>) {
  // expected-error@+1 {{expects the ids of the tokens in `using`, a tensor<?xi32>, but got 'tensor<?xi64>'}}
  %0 = moe.router #moe.hash<mod, 1> using(%ids : tensor<?xi64>) : !moe.routing<4 x 1>
  return
}

// -----

func.func @select(%s: tensor<?x4xf32>, %ids: tensor<?xi32>) {
  // expected-error@+1 {{has scores in `select`, but #moe.hash<mod, 1> selects without; scores to weigh by are `weigh`}}
  %0 = moe.router #moe.hash<mod, 1> select(%s) using(%ids : tensor<?xi32>) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  return
}

// -----

func.func @constant_expert(%ids: tensor<?xi32>) {
  %t = arith.constant dense<[[0, 3], [2, 4]]> : tensor<2x2xi32>
  // expected-error@+1 {{expects experts from 0 to 3 in the table of #moe.hash<table, 2>, but table[1, 1] is 4}}
  %0 = moe.router #moe.hash<table, 2> using(%ids, %t : tensor<?xi32>, tensor<2x2xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @constant_twice(%ids: tensor<?xi32>) {
  %t = arith.constant dense<[[0, 3], [2, 2]]> : tensor<2x2xi32>
  // expected-error@+1 {{expects different experts in each row of the table of #moe.hash<table, 2>, but table[1, 1] repeats 2}}
  %0 = moe.router #moe.hash<table, 2> using(%ids, %t : tensor<?xi32>, tensor<2x2xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @constant_id(%t: tensor<9x2xi32>) {
  %ids = arith.constant dense<[0, 8, 9]> : tensor<3xi32>
  // expected-error@+1 {{expects ids from 0 to 8 for #moe.hash<table, 2>, but ids[2] is 9}}
  %0 = moe.router #moe.hash<table, 2> using(%ids, %t : tensor<3xi32>, tensor<9x2xi32>) : !moe.routing<4 x 2>
  return
}

// -----

func.func @constant_negative() {
  %ids = arith.constant dense<[0, -1]> : tensor<2xi32>
  // expected-error@+1 {{expects ids of at least 0 for #moe.hash<mod, 1>, but ids[1] is -1}}
  %0 = moe.router #moe.hash<mod, 1> using(%ids : tensor<2xi32>) : !moe.routing<4 x 1>
  return
}
