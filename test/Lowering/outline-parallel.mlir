// RUN: moe-opt %s --moek-outline-parallel --split-input-file --verify-diagnostics | FileCheck %s

// Of the memref only its pointer and its dynamic size travel; constants are
// rebuilt; the inner loop runs on one thread.
// CHECK: func.func private @rows__parallel_0(%[[ENV:.*]]: !llvm.ptr, %[[ITEM:.*]]: i64)
// CHECK-DAG: arith.constant 1.000000e+00 : f32
// CHECK-DAG: llvm.getelementptr %[[ENV]][0, 0] {{.*}}!llvm.struct<(f32, ptr, i64)>
// CHECK: %[[I:.*]] = arith.index_cast %[[ITEM]] : i64 to index
// CHECK: scf.for
// CHECK: memref.store %{{.*}}, %{{.*}}[%[[I]], %{{.*}}]
// CHECK-NOT: scf.parallel
// CHECK-LABEL: func.func @rows(
// CHECK-SAME: %[[RT:[^:]*]]: !llvm.ptr {moe.role = "runtime"}
// CHECK: %[[ENV:.*]] = llvm.alloca {{.*}}!llvm.struct<(f32, ptr, i64)>
// CHECK: %[[ONE:.*]] = arith.cmpi eq, %[[N:[^,]*]], %{{.*}} : index
// CHECK: scf.if %[[ONE]] {
// CHECK:   call @rows__parallel_0(%[[ENV]], %{{.*}})
// CHECK: } else {
// CHECK:   %[[MANY:.*]] = arith.cmpi sgt
// CHECK:   scf.if %[[MANY]] {
// CHECK:     %[[HOOK:.*]] = llvm.load
// CHECK:     %[[F:.*]] = func.constant @rows__parallel_0
// CHECK:     %[[BODY:.*]] = builtin.unrealized_conversion_cast %[[F]]
// CHECK:     llvm.call %[[HOOK]](%[[RT]], %{{.*}}, %[[BODY]], %[[ENV]])
func.func @rows(%x: memref<?x8xf32>, %s: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %one = arith.constant 1.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    scf.parallel (%j) = (%c0) to (%c8) step (%c1) {
      %v = arith.addf %s, %one : f32
      memref.store %v, %x[%i, %j] : memref<?x8xf32>
    }
  }
  return
}

// -----

// The name of the kernel that a loop is part of becomes part of the body's.
// CHECK: func.func private @phases__route_parallel_0(
// CHECK: func.func private @phases__parallel_1(
func.func @phases(%x: memref<?xf32>, %s: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    memref.store %s, %x[%i] : memref<?xf32>
  } loc(fused<"route">["kernel"])
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    memref.store %s, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// Dimensions are linearized: item = (i * 3 + j), i = 2 * .. + 4. A stack slot
// in a body moves to its entry.
// CHECK: func.func private @grid__parallel_0(%{{.*}}: !llvm.ptr, %[[ITEM:.*]]: i64)
// CHECK-NEXT: memref.alloca() : memref<4xf32>
// CHECK: %[[AT:.*]] = arith.index_cast %[[ITEM]]
// CHECK: %[[J:.*]] = arith.remui %[[AT]], %[[C3:.*]] : index
// CHECK: %[[Q:.*]] = arith.divui %[[AT]], %[[C3]] : index
// CHECK: %[[M:.*]] = arith.muli %[[Q]], %{{.*}} : index
// CHECK: %[[I:.*]] = arith.addi %[[M]], %{{.*}} : index
// CHECK: memref.store %{{.*}}, %{{.*}}[%[[I]], %[[J]]]
func.func @grid(%x: memref<16x3xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c16 = arith.constant 16 : index
  scf.parallel (%i, %j) = (%c4, %c0) to (%c16, %c3) step (%c2, %c1) {
    scf.for %k = %c0 to %c2 step %c1 {
      %a = memref.alloca() : memref<4xf32>
      %v = memref.load %a[%k] : memref<4xf32>
      memref.store %v, %x[%i, %j] : memref<16x3xf32>
    }
  }
  return
}

// -----

// Reductions are left to the sequential lowering, private functions alone.
// CHECK-LABEL: func.func @reduction
// CHECK: scf.parallel
// CHECK-LABEL: func.func private @helper
// CHECK: scf.parallel
func.func @reduction(%x: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  %s = scf.parallel (%i) = (%c0) to (%c8) step (%c1) init (%zero) -> f32 {
    %v = memref.load %x[%i] : memref<8xf32>
    scf.reduce(%v : f32) {
    ^bb0(%a: f32, %b: f32):
      %t = arith.addf %a, %b : f32
      scf.reduce.return %t : f32
    }
  }
  memref.store %s, %x[%c0] : memref<8xf32>
  return
}
func.func private @helper(%x: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    memref.store %zero, %x[%i] : memref<8xf32>
  }
  return
}

// -----

func.func @complex(%x: memref<8xcomplex<f32>>, %z: complex<f32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  // expected-error@+1 {{'scf.parallel' op uses a value of type 'complex<f32>', which cannot be handed to threads}}
  scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
    memref.store %z, %x[%i] : memref<8xcomplex<f32>>
  }
  return
}
