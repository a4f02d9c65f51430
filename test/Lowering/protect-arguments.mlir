// RUN: moe-opt %s --moek-protect-arguments --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s

// The argument is copied, not overwritten.
// CHECK-LABEL: func.func @entry
// CHECK: memref.alloc
// CHECK: memref.copy
func.func @entry(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %f = arith.constant 0.0 : f32
  %y = tensor.insert %f into %x[%c0] : tensor<4xf32>
  return %y : tensor<4xf32>
}
