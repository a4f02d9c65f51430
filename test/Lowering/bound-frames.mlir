// RUN: moe-opt %s --moek-bound-frames --split-input-file --verify-diagnostics | FileCheck %s

// In parallel bodies buffers live on the stack.
// CHECK-LABEL: func.func @stack(
// CHECK: scf.parallel
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<16xf32>
func.func @stack(%x: memref<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %f = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %a = memref.alloc() : memref<16xf32>
    memref.store %f, %a[%c0] : memref<16xf32>
    %v = memref.load %a[%c0] : memref<16xf32>
    memref.store %v, %x[%i, %c0] : memref<?x8xf32>
  }
  return
}

// -----

// The largest goes until the rest fits; 32 items share its slices.
// CHECK-LABEL: func.func @large(
// CHECK: %[[DIM:.*]] = memref.dim
// CHECK: %[[N:.*]] = arith.maxsi %[[DIM]], %{{.*}}
// CHECK: %[[BUFFER:.*]] = memref.alloc() {alignment = 64 : i64} : memref<12800000xi8>
// CHECK: %[[ITEMS:.*]] = arith.minsi %[[N]], %{{.*}}
// CHECK: scf.parallel (%[[SLICE:.*]]) = (%{{.*}}) to (%[[ITEMS]])
// CHECK: %[[AT:.*]] = arith.muli %[[SLICE]], %{{.*}}
// CHECK: %[[A:.*]] = memref.view %[[BUFFER]][%[[AT]]][] : memref<12800000xi8> to memref<100000xf32>
// CHECK: scf.for %[[I:.*]] = %[[SLICE]] to %[[N]] step %{{.*}}
// CHECK: memref.alloca() : memref<1000xf32>
// CHECK: memref.store %{{.*}}, %[[A]][%[[I]]]
func.func @large(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %b = memref.alloca() : memref<1000xf32>
    %a = memref.alloca() : memref<100000xf32>
    %v = memref.load %b[%i] : memref<1000xf32>
    memref.store %v, %a[%i] : memref<100000xf32>
  }
  return
}

// -----

// What runs in the function itself needs one.
// CHECK-LABEL: func.func @own(
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<100000xf32>
// CHECK-NOT: memref.alloca
func.func @own(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %a = memref.alloca() : memref<100000xf32>
  %v = memref.load %a[%c0] : memref<100000xf32>
  memref.store %v, %x[%c0] : memref<?xf32>
  return
}

// -----

func.func @unbounded(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    // expected-error@+1 {{buffers inside of parallel loops need a constant bound of their size}}
    %a = memref.alloc(%n) : memref<?xf32>
    %v = memref.load %a[%i] : memref<?xf32>
    memref.store %v, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// The analysis of bounds would look this dimension up.
func.func @no_dimension(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c-1 = arith.constant -1 : index
  // expected-error@+1 {{'memref.dim' op asks for a dimension that there is not}}
  %n = memref.dim %x, %c-1 : memref<?xf32>
  scf.parallel (%i) = (%c0) to (%c1) step (%c1) {
    %a = memref.alloc(%n) : memref<?xf32>
    %v = memref.load %a[%i] : memref<?xf32>
    memref.store %v, %x[%i] : memref<?xf32>
  }
  return
}
