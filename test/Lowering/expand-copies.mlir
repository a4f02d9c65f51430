// RUN: moe-opt %s --moek-expand-copies | FileCheck %s

// CHECK-LABEL: func.func @copies
// CHECK: memref.copy
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.load
// CHECK: memref.store
// CHECK-NOT: memref.copy
func.func @copies(%a: memref<?x8xf32>, %b: memref<?x8xf32>, %c: memref<?x4xf32, strided<[8, 1]>>, %d: memref<?x4xf32>) {
  memref.copy %a, %b : memref<?x8xf32> to memref<?x8xf32>
  memref.copy %c, %d : memref<?x4xf32, strided<[8, 1]>> to memref<?x4xf32>
  return
}
