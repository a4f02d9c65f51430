// RUN: moe-opt %s --moek-results-to-arguments | FileCheck %s

// The returned buffer becomes the argument: no copy.
// CHECK-LABEL: func.func @in_place(
// CHECK-SAME: %[[Y:[^:]*]]: memref<?xf32> {moe.dims = ["T"], moe.name = "y", moe.role = "result"}) {
// CHECK-NOT: memref.alloc
// CHECK: memref.store %{{.*}}, %[[Y]]
// CHECK-NOT: memref.copy
// CHECK: return{{$}}
func.func @in_place(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) -> (memref<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  %y = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %x[%c0] : memref<?xf32>
  memref.store %v, %y[%c0] : memref<?xf32>
  return %y : memref<?xf32>
}

// An argument that is returned is copied; scalars are stored.
// CHECK-LABEL: func.func @copied(
// CHECK-SAME: %[[X:[^:]*]]: memref<4xf32>, %[[S:[^:]*]]: f32, %[[Y:[^:]*]]: memref<4xf32> {moe.role = "result"}, %[[R:[^:]*]]: memref<f32> {moe.role = "result"})
// CHECK-DAG: memref.copy %[[X]], %[[Y]]
// CHECK-DAG: memref.store %[[S]], %[[R]][]
func.func @copied(%x: memref<4xf32>, %s: f32) -> (memref<4xf32>, f32) {
  return %x, %s : memref<4xf32>, f32
}

// One buffer returned twice is written once and copied once.
// CHECK-LABEL: func.func @twice(
// CHECK-SAME: %[[A:[^:]*]]: memref<4xf32> {moe.role = "result"}, %[[B:[^:]*]]: memref<4xf32> {moe.role = "result"})
// CHECK: memref.copy %[[A]], %[[B]]
func.func @twice() -> (memref<4xf32>, memref<4xf32>) {
  %y = memref.alloc() : memref<4xf32>
  return %y, %y : memref<4xf32>, memref<4xf32>
}

// A result of more dimensions than its buffer: the argument in the buffer's.
// CHECK-LABEL: func.func @expanded(
// CHECK-SAME: %[[Y:[^:]*]]: memref<1x?x4xf32> {moe.role = "result"}) {
// CHECK-NOT: memref.alloc
// CHECK: %[[ROWS:.*]] = memref.collapse_shape %[[Y]] {{\[}}[0, 1], [2]] : memref<1x?x4xf32> into memref<?x4xf32>
// CHECK: memref.store %{{.*}}, %[[ROWS]]
// CHECK-NOT: memref.copy
// CHECK: return{{$}}
func.func @expanded(%n: index, %v: f32) -> memref<1x?x4xf32> {
  %c0 = arith.constant 0 : index
  %y = memref.alloc(%n) : memref<?x4xf32>
  memref.store %v, %y[%c0, %c0] : memref<?x4xf32>
  %z = memref.expand_shape %y [[0, 1], [2]] output_shape [1, %n, 4] : memref<?x4xf32> into memref<1x?x4xf32>
  return %z : memref<1x?x4xf32>
}
