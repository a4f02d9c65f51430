// Weights in a format are packed as panels of 32 columns, the parts one after another.
// RUN: moe-opt %s --moe-vulkan-select-schedule --split-input-file --verify-diagnostics | FileCheck %s

// 3 panels of 32 columns for each part; a block of a panel is 32 times 18 bytes.
// CHECK: moek.pack %{{.*}}, %{{.*}} parts(2) layout(#moe_gpu.blocks<#moe.q4_0>) : tensor<4x80x64xf32>, tensor<4x80x64xf32> -> tensor<4x6x2x576xi8>
// CHECK: moek.grouped_matmul {{.*}} rhs(%{{.*}} : tensor<4x6x2x576xi8>) {{.*}} format(#moe.q4_0) schedule(#moe_vulkan.schedule<few = 32>)
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  func.func @gate_and_up(%x: tensor<?x64xf32>, %o: tensor<5xi32>, %a: tensor<5xi32>,
      %g: tensor<4x80x2x18xi8>, %u: tensor<4x80x2x18xi8>, %e: tensor<?x80xf32>) -> tensor<?x80xf32> {
    %wg = moe.dequantize #moe.q4_0 (%g : tensor<4x80x2x18xi8>) : tensor<4x80x64xf32>
    %wu = moe.dequantize #moe.q4_0 (%u : tensor<4x80x2x18xi8>) : tensor<4x80x64xf32>
    %p = moek.pack %wg, %wu parts(2) : tensor<4x80x64xf32>, tensor<4x80x64xf32> -> tensor<4x2x80x64xf32>
    %h = moek.grouped_matmul n(80) k(64) parts(2) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<4x2x80x64xf32>)
        groups(%o, %a : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x80xf32>) epilogue {
    ^bb0(%c: f32, %d: f32):
      %v = arith.mulf %c, %d : f32
      moek.yield %v : f32
    } -> tensor<?x80xf32>
    return %h : tensor<?x80xf32>
  }
}

// -----

// Nothing else may read them.
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  func.func @kept(%x: tensor<?x64xf32>, %o: tensor<5xi32>, %a: tensor<5xi32>, %g: tensor<4x80x2x18xi8>,
      %e: tensor<?x80xf32>) -> (tensor<?x80xf32>, tensor<4x1x80x64xf32>) {
    %w = moe.dequantize #moe.q4_0 (%g : tensor<4x80x2x18xi8>) : tensor<4x80x64xf32>
    %p = moek.pack %w : tensor<4x80x64xf32> -> tensor<4x1x80x64xf32>
    // expected-error @+1 {{'rhs' has no layout; a moek.pack that nothing but kernels read would get one}}
    %h = moek.grouped_matmul n(80) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<4x1x80x64xf32>)
        groups(%o, %a : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x80xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x80xf32>
    return %h, %p : tensor<?x80xf32>, tensor<4x1x80x64xf32>
  }
}
