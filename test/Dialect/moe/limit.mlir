// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // CHECK: moe.routing.limit %{{.*}} capacity 4 : !moe.routing<8 x 2>
  %0 = moe.routing.limit %r capacity 4 : !moe.routing<8 x 2>
  // CHECK: moe.routing.limit %{{.*}} factor 1.250000e+00 : !moe.routing<8 x 2>
  %1 = moe.routing.limit %r factor 1.25 : !moe.routing<8 x 2>
  // CHECK: moe.routing.limit %{{.*}} factor 1.250000e+00 : !moe.routing<8 x 2>
  %2 = moe.routing.limit %r factor 1.25 rounding ceil minimum 1 by position : !moe.routing<8 x 2>
  // CHECK: moe.routing.limit %{{.*}} factor 5.000000e-01 rounding nearest minimum 4 group_size 512 by batch_priority(%{{.*}} : tensor<?xf32>) : !moe.routing<8 x 2>
  %3 = moe.routing.limit %r factor 0.5 rounding nearest minimum 4 group_size 512 by batch_priority (%p : tensor<?xf32>) : !moe.routing<8 x 2>
  // CHECK: moe.routing.limit %{{.*}} capacity 3 group_size 7 by probability : !moe.routing<8 x 2>
  %4 = moe.routing.limit %r capacity 3 group_size 7 by probability : !moe.routing<8 x 2>
  // CHECK: moe.routing.reweigh %{{.*}} weighing [#moe.normalize<clamp, min = {{.*}}>] : !moe.routing<8 x 2>
  %5 = moe.routing.reweigh %4 weighing [#moe.normalize<clamp, min = 1.1920928955078125e-07>] : !moe.routing<8 x 2>
  return
}

//--- invalid.mlir

func.func @nothing(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a `capacity` or a `factor`, but has none}}
  %0 = moe.routing.limit %r  : !moe.routing<8 x 2>
  return
}

// -----

func.func @both(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a `capacity` or a `factor`, but has both}}
  %0 = moe.routing.limit %r capacity 4 factor 1.0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @zero(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a capacity of at least 1, but got 0; a layer that drops nothing needs no limit}}
  %0 = moe.routing.limit %r capacity 0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @zero_factor(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a finite capacity factor above 0, but got 0.000000e+00 : f64; a layer that drops nothing needs no limit}}
  %0 = moe.routing.limit %r factor 0.0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @negative_factor(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a finite capacity factor above 0}}
  %0 = moe.routing.limit %r factor -1.0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @infinite_factor(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a finite capacity factor above 0}}
  %0 = moe.routing.limit %r factor 0x7FF0000000000000 : !moe.routing<8 x 2>
  return
}

// -----

func.func @minimum(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a minimum of at least 1, but got 0}}
  %0 = moe.routing.limit %r factor 1.0 minimum 0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @group(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects a group size of at least 1, but got 0}}
  %0 = moe.routing.limit %r factor 1.0 group_size 0 : !moe.routing<8 x 2>
  return
}

// -----

func.func @rounding(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{has a `rounding`, which means nothing with `capacity`; it is for `factor`}}
  %0 = moe.routing.limit %r capacity 4 rounding floor : !moe.routing<8 x 2>
  return
}

// -----

func.func @minimum_capacity(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{has a `minimum`, which means nothing with `capacity`; it is for `factor`}}
  %0 = moe.routing.limit %r capacity 4 minimum 2 : !moe.routing<8 x 2>
  return
}

// -----

func.func @no_priority(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{expects the priority of each token with batch_priority, (%p : tensor<?xf32>)}}
  %0 = moe.routing.limit %r factor 1.0 by batch_priority : !moe.routing<8 x 2>
  return
}

// -----

func.func @priority(%r: !moe.routing<8 x 2>, %p: tensor<?xf32>) {
  // expected-error@+1 {{has priorities of tokens, which mean nothing with probability; they are for batch_priority}}
  %0 = moe.routing.limit %r factor 1.0 by probability (%p : tensor<?xf32>) : !moe.routing<8 x 2>
  return
}

// -----

func.func @other_tokens(%i: tensor<5x2xi32>, %w: tensor<5x2xf32>, %p: tensor<4xf32>) {
  %r = moe.routing.make %i, %w : tensor<5x2xi32>, tensor<5x2xf32> -> !moe.routing<8 x 2>
  // expected-error@+1 {{expects priorities of the 5 tokens of the routing, but got 'tensor<4xf32>'}}
  %0 = moe.routing.limit %r factor 1.0 by batch_priority (%p : tensor<4xf32>) : !moe.routing<8 x 2>
  return
}
