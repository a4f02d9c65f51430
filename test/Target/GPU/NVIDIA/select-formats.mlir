// Weights in a format are packed as panels of 32 columns. Hopper has a kernel for many rows if k is a multiple of
// 64 and n of 8, and others have one for any number of rows.
// RUN: moe-opt %s --moe-nvidia-select-schedule --split-input-file --verify-diagnostics | FileCheck %s

// 3 panels of 32 columns for each part; a block of a panel is 32 times 18 bytes.
// CHECK: moek.pack %{{.*}}, %{{.*}} parts(2) layout(#moe_gpu.blocks<#moe.q4_0>) : tensor<4x80x96xf32>, tensor<4x80x96xf32> -> tensor<4x6x3x576xi8>
// CHECK: moek.grouped_matmul {{.*}} lhs(%{{.*}} : tensor<?x96xbf16>) rhs(%{{.*}} : tensor<4x6x3x576xi8>) {{.*}} format(#moe.q4_0) schedule(#moe_nvidia.schedule<few = -1{{.*}}>)
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @gate_and_up(%x: tensor<?x96xf32>, %o: tensor<5xi32>, %a: tensor<5xi32>,
      %g: tensor<4x80x3x18xi8>, %u: tensor<4x80x3x18xi8>, %e: tensor<?x80xbf16>) -> tensor<?x80xbf16> {
    %wg = moe.dequantize #moe.q4_0 (%g : tensor<4x80x3x18xi8>) : tensor<4x80x96xf32>
    %wu = moe.dequantize #moe.q4_0 (%u : tensor<4x80x3x18xi8>) : tensor<4x80x96xf32>
    %p = moek.pack %wg, %wu parts(2) : tensor<4x80x96xf32>, tensor<4x80x96xf32> -> tensor<4x2x80x96xf32>
    %h = moek.grouped_matmul n(80) k(96) parts(2) lhs(%x : tensor<?x96xf32>) rhs(%p : tensor<4x2x80x96xf32>)
        groups(%o, %a : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x80xbf16>) epilogue {
    ^bb0(%c: f32, %d: f32):
      %v = arith.mulf %c, %d : f32
      moek.yield %v : f32
    } -> tensor<?x80xbf16>
    return %h : tensor<?x80xbf16>
  }
}

// -----

// Nothing else may read them.
module attributes {moek.target = #moe_nvidia.target<"sm_80", cpu = "sm_80", wgmma = false>} {
  func.func @kept(%x: tensor<?x64xbf16>, %o: tensor<5xi32>, %a: tensor<5xi32>, %g: tensor<4x80x2x18xi8>,
      %e: tensor<?x80xbf16>) -> (tensor<?x80xbf16>, tensor<4x1x80x64xf32>) {
    %w = moe.dequantize #moe.q4_0 (%g : tensor<4x80x2x18xi8>) : tensor<4x80x64xf32>
    %p = moek.pack %w : tensor<4x80x64xf32> -> tensor<4x1x80x64xf32>
    // expected-error @+1 {{'rhs' has no layout; a moek.pack that nothing but kernels read would get one}}
    %h = moek.grouped_matmul n(80) k(64) lhs(%x : tensor<?x64xbf16>) rhs(%p : tensor<4x1x80x64xf32>)
        groups(%o, %a : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x80xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x80xbf16>
    return %h, %p : tensor<?x80xbf16>, tensor<4x1x80x64xf32>
  }
}

// -----

// Up to 16 rows an expert are few.
// CHECK-LABEL: func.func @many
// CHECK: format(#moe.q4_0) schedule(#moe_nvidia.schedule<few = 64>)
// CHECK-LABEL: func.func @no_eighths
// CHECK: format(#moe.q4_0) schedule(#moe_nvidia.schedule<few = -1>)
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @many(%x: tensor<?x64xbf16>, %o: tensor<5xi32>, %g: tensor<4x80x2x18xi8>, %e: tensor<?x80xbf16>) -> tensor<?x80xbf16> {
    %w = moe.dequantize #moe.q4_0 (%g : tensor<4x80x2x18xi8>) : tensor<4x80x64xf32>
    %p = moek.pack %w : tensor<4x80x64xf32> -> tensor<4x1x80x64xf32>
    %h = moek.grouped_matmul n(80) k(64) lhs(%x : tensor<?x64xbf16>) rhs(%p : tensor<4x1x80x64xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x80xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x80xbf16>
    return %h : tensor<?x80xbf16>
  }
  func.func @no_eighths(%x: tensor<?x64xbf16>, %o: tensor<5xi32>, %g: tensor<4x84x2x18xi8>, %e: tensor<?x84xbf16>) -> tensor<?x84xbf16> {
    %w = moe.dequantize #moe.q4_0 (%g : tensor<4x84x2x18xi8>) : tensor<4x84x64xf32>
    %p = moek.pack %w : tensor<4x84x64xf32> -> tensor<4x1x84x64xf32>
    %h = moek.grouped_matmul n(84) k(64) lhs(%x : tensor<?x64xbf16>) rhs(%p : tensor<4x1x84x64xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x84xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x84xbf16>
    return %h : tensor<?x84xbf16>
  }
}

// -----

module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>} {
  func.func @no_stages(%x: tensor<?x96xbf16>, %o: tensor<5xi32>, %w: tensor<4x3x3x576xi8>, %e: tensor<?x80xbf16>) -> tensor<?x80xbf16> {
    // expected-error @+1 {{has #moe_nvidia.schedule<few = 8>, whose kernels want k to be a multiple of 64 and n of 8, got k = 96, n = 80}}
    %h = moek.grouped_matmul n(80) k(96) lhs(%x : tensor<?x96xbf16>) rhs(%w : tensor<4x3x3x576xi8>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) schedule(#moe_nvidia.schedule<few = 8>)
        outs(%e : tensor<?x80xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x80xbf16>
    return %h : tensor<?x80xbf16>
  }
}
