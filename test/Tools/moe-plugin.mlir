// The stock mlir-opt of the same release reads, verifies and transforms our
// dialect when it loads the plugin. Passes of plugins have no flags of their
// own; a pipeline names them.

// RUN: mlir-opt --load-dialect-plugin=%moe_lib/MoEMLIRPlugin.so \
// RUN:   --load-pass-plugin=%moe_lib/MoEMLIRPlugin.so \
// RUN:   --pass-pipeline='builtin.module(func.func(moe-expand-activations))' \
// RUN:   %s | FileCheck %s

// It is the plugin that brings the dialect.
// RUN: not mlir-opt %s 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: moe

// CHECK-LABEL: func.func @ffn
// CHECK: moe.ffn
// CHECK-NOT: activation(
// CHECK: math.exp
func.func @ffn(%x: tensor<?x8xf32>, %g: tensor<4x8xf32>, %u: tensor<4x8xf32>,
               %d: tensor<8x4xf32>) -> tensor<?x8xf32> {
  %f = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.silu)
      : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x4xf32>)
      -> tensor<?x8xf32>
  return %f : tensor<?x8xf32>
}
