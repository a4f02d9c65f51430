// RUN: moe-opt %s --moe-merge-identical-functions | FileCheck %s

// CHECK: module attributes {moe.aliases = [{entry = "layer_1", layer = 1 : i64, name = "layer_1", of = "layer_0"}, {entry = "copy", name = "copy", of = "scaled"}]}
// CHECK: func.func @layer_0
// CHECK-NOT: func.func @layer_1
func.func @layer_0(%x: tensor<4xf32> {moe.name = "x"}) -> tensor<4xf32> attributes {moe.layer = 0 : i64} {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @layer_1(%x: tensor<4xf32> {moe.name = "x"}) -> tensor<4xf32> attributes {moe.layer = 1 : i64} {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// Another name of an argument is another interface.
// CHECK: func.func @renamed
func.func @renamed(%x: tensor<4xf32> {moe.name = "z"}) -> tensor<4xf32> attributes {moe.layer = 2 : i64} {
  %0 = arith.addf %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// The same ops on other operands.
// CHECK: func.func @first
func.func @first(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.subf %x, %y : tensor<4xf32>
  return %0 : tensor<4xf32>
}
// CHECK: func.func @second
func.func @second(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = arith.subf %y, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// Constants count.
// CHECK: func.func @scaled
func.func @scaled() -> f32 {
  %0 = arith.constant 1.0 : f32
  return %0 : f32
}
// CHECK: func.func @scaled_more
func.func @scaled_more() -> f32 {
  %0 = arith.constant 2.0 : f32
  return %0 : f32
}
// CHECK-NOT: func.func @copy
func.func @copy() -> f32 {
  %0 = arith.constant 1.0 : f32
  return %0 : f32
}
