// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%p: tensor<?x4xf32>, %u: tensor<?xf32>) {
  // CHECK: moe.router #moe.gshard<second = all> select(%{{.*}}) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %0 = moe.router #moe.gshard<second = all> select(%p) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.gshard<second = none> select
  %1 = moe.router #moe.gshard<second = none> select(%p) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.gshard<second = threshold, threshold = 2.000000e-01 : f64> select
  %2 = moe.router #moe.gshard<second = threshold, threshold = 0.2> select(%p) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.gshard<second = random> select(%{{.*}}) using(%{{.*}} : tensor<?xf32>)
  %3 = moe.router #moe.gshard<second = random> select(%p) using(%u : tensor<?xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.gshard<second = random, threshold = 2.000000e-01 : f64> select
  %4 = moe.router #moe.gshard<second = random, threshold = 0.2> select(%p) using(%u : tensor<?xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  // CHECK: moe.router #moe.gshard<second = random, raw = true> select
  %5 = moe.router #moe.gshard<second = random, raw = true> select(%p) using(%u : tensor<?xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

//--- invalid.mlir

// expected-error@+1 {{expects a threshold with second = threshold, such as threshold = 0.2}}
func.func private @no_threshold() attributes {policy = #moe.gshard<second = threshold>}

// -----

// expected-error@+1 {{has a threshold, which means nothing with second = all; it is for threshold and random}}
func.func private @threshold_of_all() attributes {policy = #moe.gshard<second = all, threshold = 0.2>}

// -----

// expected-error@+1 {{has a threshold, which means nothing with second = none}}
func.func private @threshold_of_none() attributes {policy = #moe.gshard<second = none, threshold = 0.2>}

// -----

// expected-error@+1 {{has raw = true, which means nothing with second = threshold; it is for random}}
func.func private @raw_threshold() attributes {policy = #moe.gshard<second = threshold, threshold = 0.2, raw = true>}

// -----

// expected-error@+1 {{expects a positive threshold with second = random, which divides by it}}
func.func private @zero() attributes {policy = #moe.gshard<second = random, threshold = 0.0>}

// -----

// expected-error@+1 {{expects a threshold of type f64, but got 5.000000e-01 : f32}}
func.func private @of_f32() attributes {policy = #moe.gshard<second = threshold, threshold = 0.5 : f32>}

// -----

// expected-error@+1 {{expects a finite threshold}}
func.func private @not_finite() attributes {policy = #moe.gshard<second = threshold, threshold = 0x7FF0000000000000 : f64>}

// -----

func.func @no_random(%p: tensor<?x4xf32>) {
  // expected-error@+1 {{expects a random number of each token in `using`, a tensor<?xf32>, but got nothing}}
  %0 = moe.router #moe.gshard<second = random> select(%p) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @random_type(%p: tensor<?x4xf32>, %u: tensor<?x1xf32>) {
  // expected-error@+1 {{expects a random number of each token in `using`, a tensor<?xf32>, but got 'tensor<?x1xf32>'}}
  %0 = moe.router #moe.gshard<second = random> select(%p) using(%u : tensor<?x1xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @random_for_nothing(%p: tensor<?x4xf32>, %u: tensor<?xf32>) {
  // expected-error@+1 {{expects no operands in `using`, as #moe.gshard<second = all> draws no random numbers, but has 1}}
  %0 = moe.router #moe.gshard<second = all> select(%p) using(%u : tensor<?xf32>) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}

// -----

func.func @one_expert(%p: tensor<?x1xf32>) {
  // expected-error@+1 {{expects #moe.gshard<second = all> to select at most all 1 experts, but it selects 2}}
  %0 = moe.router #moe.gshard<second = all> select(%p) : tensor<?x1xf32> -> !moe.routing<1 x 1>
  return
}

// -----

func.func @weigh(%p: tensor<?x4xf32>) {
  // expected-error@+1 {{has scores in `weigh`, but #moe.gshard<second = all> makes the values of the chosen experts itself}}
  %0 = moe.router #moe.gshard<second = all> select(%p) weigh(%p) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  return
}
