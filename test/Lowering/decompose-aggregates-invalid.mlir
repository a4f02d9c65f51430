// RUN: moe-opt %s --moe-decompose-aggregates --verify-diagnostics

func.func @integers(%x: tensor<4x16xi32>, %y: tensor<4x16xi32>) -> tensor<4x16xi32> {
  // expected-error@+1 {{'linalg.softmax' op is defined for floats, but its elements are 'i32'; convert them first}}
  %0 = linalg.softmax dimension(1) ins(%x : tensor<4x16xi32>) outs(%y : tensor<4x16xi32>) -> tensor<4x16xi32>
  return %0 : tensor<4x16xi32>
}
