// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir --verify-roundtrip | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @limit
func.func @limit(%i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %p: tensor<?xf32>, %a: tensor<?x2xi32>, %b: tensor<?x2xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>) {
  // CHECK: moek.limit experts(8) drop({{ ?}}position) factor(1.250000e+00) group_size(512) ins(%{{.*}}, %{{.*}} : tensor<?x2xi32>, tensor<?x2xf32>) outs(%{{.*}}, %{{.*}} : tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x2xi32>, tensor<?x2xf32>
  %0:2 = moek.limit experts(8) drop(position) factor(1.25) group_size(512) ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
      outs(%a, %b : tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x2xi32>, tensor<?x2xf32>
  // CHECK: moek.limit experts(8) drop({{ ?}}batch_priority) factor(5.000000e-01) rounding({{ ?}}floor) minimum(4) ins({{.*}}) priority(%{{.*}} : tensor<?xf32>)
  %1:2 = moek.limit experts(8) drop(batch_priority) factor(0.5) rounding(floor) minimum(4) ins(%0#0, %0#1 : tensor<?x2xi32>, tensor<?x2xf32>)
      priority(%p : tensor<?xf32>) outs(%a, %b : tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x2xi32>, tensor<?x2xf32>
  // CHECK: moek.limit experts(8) drop({{ ?}}probability) capacity(3)
  %2:2 = moek.limit experts(8) drop(probability) capacity(3) ins(%1#0, %1#1 : tensor<?x2xi32>, tensor<?x2xf32>)
      outs(%a, %b : tensor<?x2xi32>, tensor<?x2xf32>) -> tensor<?x2xi32>, tensor<?x2xf32>
  return %2#0, %2#1 : tensor<?x2xi32>, tensor<?x2xf32>
}

// CHECK-LABEL: @sinkhorn
func.func @sinkhorn(%z: memref<?x64xf32>, %o: memref<?x64xf32>) {
  // CHECK: moek.sinkhorn iterations(1000) tolerance(1.000000e-04) ins(%{{.*}} : memref<?x64xf32>) outs(%{{.*}} : memref<?x64xf32>)
  moek.sinkhorn iterations(1000) tolerance(1.0e-4) ins(%z : memref<?x64xf32>) outs(%o : memref<?x64xf32>)
  return
}

//--- invalid.mlir

func.func @no_capacity(%i: memref<?x2xi32>, %w: memref<?x2xf32>) {
  // expected-error@+1 {{needs a capacity or a factor, got none}}
  moek.limit experts(8) drop(position) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>) outs(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
  return
}

// -----

func.func @zero(%i: memref<?x2xi32>, %w: memref<?x2xf32>) {
  // expected-error@+1 {{capacity, factor, minimum and group size must be positive}}
  moek.limit experts(8) drop(position) capacity(0) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>) outs(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
  return
}

// -----

func.func @no_priority(%i: memref<?x2xi32>, %w: memref<?x2xf32>) {
  // expected-error@+1 {{needs 'priority' to drop by batch_priority}}
  moek.limit experts(8) drop(batch_priority) capacity(1) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>) outs(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
  return
}

// -----

func.func @slots(%i: memref<?x2xi32>, %w: memref<?x3xf32>) {
  // expected-error@+1 {{'weights'}}
  moek.limit experts(8) drop(position) capacity(1) ins(%i, %w : memref<?x2xi32>, memref<?x3xf32>) outs(%i, %w : memref<?x2xi32>, memref<?x3xf32>)
  return
}

// -----

func.func @iterations(%z: memref<?x64xf32>, %o: memref<?x64xf32>) {
  // expected-error@+1 {{needs at least one iteration, got 0}}
  moek.sinkhorn iterations(0) tolerance(1.0e-4) ins(%z : memref<?x64xf32>) outs(%o : memref<?x64xf32>)
  return
}

// -----

func.func @plan(%z: memref<?x64xf32>, %o: memref<?x32xf32>) {
  // expected-error@+1 {{'plan'}}
  moek.sinkhorn iterations(9) tolerance(1.0e-4) ins(%z : memref<?x64xf32>) outs(%o : memref<?x32xf32>)
  return
}
