// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @tensors
func.func @tensors(%c: index, %p: tensor<?x8xf32>, %o: tensor<?x8xi32>) -> tensor<?x8xi32> {
  // CHECK: moek.expert_choice capacity(%{{.*}}) ins(%{{.*}} : tensor<?x8xf32>) outs(%{{.*}} : tensor<?x8xi32>) -> tensor<?x8xi32>
  %0 = moek.expert_choice capacity(%c) ins(%p : tensor<?x8xf32>) outs(%o : tensor<?x8xi32>) -> tensor<?x8xi32>
  return %0 : tensor<?x8xi32>
}

// CHECK-LABEL: @memrefs
func.func @memrefs(%c: index, %p: memref<?x8xf32>, %o: memref<?x8xi32>) {
  // CHECK: moek.expert_choice capacity(%{{.*}}) ins(%{{.*}} : memref<?x8xf32>) outs(%{{.*}} : memref<?x8xi32>)
  moek.expert_choice capacity(%c) ins(%p : memref<?x8xf32>) outs(%o : memref<?x8xi32>)
  return
}

//--- invalid.mlir

func.func @element(%c: index, %p: memref<?x8xf64>, %o: memref<?x8xi32>) {
  // expected-error@+1 {{'scores' must hold f32, got 'memref<?x8xf64>'}}
  moek.expert_choice capacity(%c) ins(%p : memref<?x8xf64>) outs(%o : memref<?x8xi32>)
  return
}

// -----

func.func @dynamic(%c: index, %p: memref<?x?xf32>, %o: memref<?x8xi32>) {
  // expected-error@+1 {{the number of experts must be static and at least 1, got 'memref<?x?xf32>'}}
  moek.expert_choice capacity(%c) ins(%p : memref<?x?xf32>) outs(%o : memref<?x8xi32>)
  return
}

// -----

func.func @shape(%c: index, %p: memref<?x8xf32>, %o: memref<?x7xi32>) {
  // expected-error@+1 {{'indices' dimension 1 must be 8, got 'memref<?x7xi32>'}}
  moek.expert_choice capacity(%c) ins(%p : memref<?x8xf32>) outs(%o : memref<?x7xi32>)
  return
}

// -----

func.func @outputs(%c: index, %p: memref<?x8xf32>, %o: memref<?x8xi32>) {
  // expected-error@+1 {{expects 1 output, the indices, got 2}}
  moek.expert_choice capacity(%c) ins(%p : memref<?x8xf32>) outs(%o, %o : memref<?x8xi32>, memref<?x8xi32>)
  return
}

// -----

func.func @no_experts(%c: index, %p: memref<?x0xf32>, %o: memref<?x0xi32>) {
  // expected-error@+1 {{the number of experts must be static and at least 1, got 'memref<?x0xf32>'}}
  moek.expert_choice capacity(%c) ins(%p : memref<?x0xf32>) outs(%o : memref<?x0xi32>)
  return
}
