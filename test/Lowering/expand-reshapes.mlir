// RUN: moe-opt %s --moek-expand-reshapes --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @whole
// CHECK-SAME: %[[X:.*]]: memref<?x64xf32>, %[[B:.*]]: index, %[[S:.*]]: index
// CHECK: %[[ROWS:.*]] = arith.muli %[[S]], %c64
// CHECK: memref.reinterpret_cast %[[X]] to offset: [0], sizes: [%[[B]], %[[S]], 64], strides: [%[[ROWS]], 64, 1]
func.func @whole(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
  %0 = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64] : memref<?x64xf32> into memref<?x?x64xf32>
  return %0 : memref<?x?x64xf32>
}

// CHECK-LABEL: func.func @strided
// CHECK: %[[BASE:.*]], %[[OFFSET:.*]], %{{.*}}:2, %[[STRIDES:.*]]:2 = memref.extract_strided_metadata
// CHECK: %[[OUTER:.*]] = arith.muli %{{.*}}, %arg2
// CHECK: memref.reinterpret_cast %{{.*}} to offset: [%[[OFFSET]]], sizes: [%arg1, %arg2, 8], strides: [%[[OUTER]], %{{.*}}, 1]
func.func @strided(%x: memref<?x8xf32, strided<[?, 1], offset: ?>>, %b: index, %s: index) -> memref<?x?x8xf32, strided<[?, ?, 1], offset: ?>> {
  %0 = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 8] : memref<?x8xf32, strided<[?, 1], offset: ?>> into memref<?x?x8xf32, strided<[?, ?, 1], offset: ?>>
  return %0 : memref<?x?x8xf32, strided<[?, ?, 1], offset: ?>>
}
