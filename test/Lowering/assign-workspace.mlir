// RUN: moe-opt %s --moek-assign-workspace --canonicalize --split-input-file --verify-diagnostics | FileCheck %s
// RUN: moe-opt %s --moek-assign-workspace=reuse=false --canonicalize --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=APART

func.func private @use(memref<?x8xf32>)

// Disjoint lifetimes share one place; %c lives with both, and before them.
// CHECK-LABEL: func.func @reuse(
// CHECK-SAME: %[[W:[^:]*]]: memref<?xi8> {moe.role = "workspace"})
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK: %[[BEHIND:.*]] = arith.andi
// CHECK: memref.view %[[W]][%[[ZERO]]][%{{.*}}] : memref<?xi8> to memref<?x8xf32>
// CHECK: memref.view %[[W]][%[[BEHIND]]][] : memref<?xi8> to memref<3xf32>
// CHECK: memref.view %[[W]][%[[ZERO]]][%{{.*}}] : memref<?xi8> to memref<?x8xf32>
// CHECK-NOT: memref.dealloc

// 32 T rounded up to 64, and 64 for the static one.
// CHECK-LABEL: func.func private @reuse__workspace(%arg0: index) -> index
// CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
// CHECK-DAG: %[[C32:.*]] = arith.constant 32 : index
// CHECK-DAG: %[[C63:.*]] = arith.constant 63 : index
// CHECK-DAG: %[[MASK:.*]] = arith.constant -64 : index
// CHECK: %[[BYTES:.*]], %[[HIGH:.*]] = arith.mulsi_extended %arg0, %[[C32]]
// CHECK: %[[SIGN:.*]] = arith.shrsi %[[BYTES]], %[[C63]]
// CHECK: arith.cmpi ne, %[[HIGH]], %[[SIGN]]
// CHECK: %[[UP:.*]] = arith.addi %[[BYTES]], %[[C63]]
// CHECK: %[[SIZE:.*]] = arith.andi %[[UP]], %[[MASK]]
// CHECK: %[[SUM:.*]] = arith.addi %[[SIZE]], %[[C64]]
// More than 2^56 bytes are none.
// CHECK: arith.cmpi sgt, %[[SUM]], %c72057594037927936
// CHECK: %[[BYTES:.*]] = arith.select %{{.*}}, %c-1, %[[SUM]]
// CHECK: return %[[BYTES]]

// APART-LABEL: func.func private @reuse__workspace
// APART: arith.addi
// APART: arith.addi
// APART: arith.addi
// APART: return
func.func @reuse(%x: memref<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %f = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %a = memref.alloc(%n) : memref<?x8xf32>
  %c = memref.alloc() : memref<3xf32>
  %b = memref.alloc(%n) : memref<?x8xf32>
  memref.store %f, %c[%c0] : memref<3xf32>
  call @use(%a) : (memref<?x8xf32>) -> ()
  memref.dealloc %a : memref<?x8xf32>
  call @use(%b) : (memref<?x8xf32>) -> ()
  %v = memref.load %c[%c0] : memref<3xf32>
  memref.store %v, %x[%c0, %c0] : memref<?x8xf32>
  return
}

// In a loop too, where the one of before lives through all iterations; a small
// buffer does not get the place of a large one.
// CHECK-LABEL: func.func @iterated(
// CHECK-SAME: %[[W:[^:]*]]: memref<?xi8> {moe.role = "workspace"})
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK: memref.view %[[W]][%[[BEFORE:.*]]][] : memref<?xi8> to memref<1xf32>
// CHECK: scf.for
// CHECK: memref.view %[[W]][%[[ZERO]]][%{{.*}}] : memref<?xi8> to memref<?x8xf32>
// CHECK: memref.view %[[W]][%[[ZERO]]][%{{.*}}] : memref<?xi8> to memref<?x8xf32>
func.func @iterated(%x: memref<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %f = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %before = memref.alloc() : memref<1xf32>
  memref.store %f, %before[%c0] : memref<1xf32>
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %before[%c0] : memref<1xf32>
    memref.store %v, %x[%i, %c0] : memref<?x8xf32>
    %a = memref.alloc(%n) : memref<?x8xf32>
    func.call @use(%a) : (memref<?x8xf32>) -> ()
    %b = memref.alloc(%n) : memref<?x8xf32>
    func.call @use(%b) : (memref<?x8xf32>) -> ()
  }
  return
}

// Through views, casts and pointers a buffer stays alive.
// CHECK-LABEL: func.func private @alive__workspace() -> index
// CHECK: %[[C:.*]] = arith.constant 128 : index
// CHECK: return %[[C]]
func.func @alive(%x: memref<16xf32> {moe.name = "x"}) {
  %c0 = arith.constant 0 : index
  %f = arith.constant 0.0 : f32
  %a = memref.alloc() : memref<16xf32>
  %sub = memref.subview %a[4] [4] [1] : memref<16xf32> to memref<4xf32, strided<[1], offset: 4>>
  %p = memref.extract_aligned_pointer_as_index %sub : memref<4xf32, strided<[1], offset: 4>> -> index
  %i = arith.index_cast %p : index to i64
  %ptr = llvm.inttoptr %i : i64 to !llvm.ptr
  %b = memref.alloc() : memref<16xf32>
  memref.store %f, %b[%c0] : memref<16xf32>
  llvm.store %f, %ptr : f32, !llvm.ptr
  return
}

// A bound stands in for sizes that change in a loop.
// CHECK-LABEL: func.func private @bounded__workspace(%arg0: index) -> index
// CHECK: %[[C:.*]] = arith.constant 64 : index
// CHECK: return %[[C]]
func.func @bounded(%x: memref<?x8xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c16 = arith.constant 16 : index
  %f = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  scf.for %i = %c0 to %n step %c16 {
    %left = affine.min affine_map<(d0)[s0] -> (16, s0 - d0)>(%i)[%n]
    %a = memref.alloc(%left) : memref<?xf32>
    memref.store %f, %a[%c0] : memref<?xf32>
    %v = memref.load %a[%c0] : memref<?xf32>
    memref.store %v, %x[%i, %c0] : memref<?x8xf32>
  }
  return
}

// -----

func.func @unknown(%x: memref<?xi32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %v = memref.load %x[%c0] : memref<?xi32>
  %n = arith.index_cast %v : i32 to index
  // expected-error@+1 {{the size of this buffer neither follows from the dimensions of the arguments nor has a constant bound}}
  %a = memref.alloc(%n) : memref<?xi32>
  memref.store %v, %a[%c0] : memref<?xi32>
  return
}

// -----

func.func @carried(%x: memref<4xf32> {moe.name = "x"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %first = memref.alloc() : memref<4xf32>
  %last = scf.for %i = %c0 to %c4 step %c1 iter_args(%m = %first) -> (memref<4xf32>) {
    %v = memref.load %m[%i] : memref<4xf32>
    // expected-error@+1 {{a buffer allocated in a loop is passed on to the next iteration}}
    %next = memref.alloc() : memref<4xf32>
    memref.store %v, %next[%i] : memref<4xf32>
    scf.yield %next : memref<4xf32>
  }
  %v = memref.load %last[%c0] : memref<4xf32>
  memref.store %v, %x[%c0] : memref<4xf32>
  return
}

// -----

func.func private @helper() {
  // expected-error@+1 {{'memref.alloc' op allocates outside of an entry function}}
  %a = memref.alloc() : memref<4xf32>
  return
}

// -----

func.func @large(%x: memref<4xf32> {moe.name = "x"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.parallel (%i) = (%c0) to (%c4) step (%c1) {
    // expected-error@+1 {{'memref.alloc' op belongs to the item of a parallel loop (run moek-bound-frames first)}}
    %a = memref.alloc() : memref<100000xf32>
    %v = memref.load %a[%i] : memref<100000xf32>
    memref.store %v, %x[%i] : memref<4xf32>
  }
  return
}

// -----

// expected-error@+1 {{argument 0 is no memref; bufferize first}}
func.func @tensors(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  return
}

// -----

func.func @no_dimension(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  // expected-error@+1 {{'memref.dim' op asks for a dimension that there is not}}
  %n = memref.dim %x, %c2 : memref<?xf32>
  %a = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %a[%c0] : memref<?xf32>
  memref.store %v, %x[%c0] : memref<?xf32>
  return
}
