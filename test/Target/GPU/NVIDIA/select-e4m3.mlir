// Rows become E4M3 beyond few where that is asked for, the chip has wgmma and weights
// are in fp8; elsewhere they become bf16, and a remark says why.
// RUN: moe-opt %s --moe-nvidia-select-schedule --split-input-file --remarks-filter-missed=moek-select-schedule > %t.mlir 2> %t.said
// RUN: FileCheck %s --input-file=%t.mlir
// RUN: FileCheck %s --input-file=%t.said --check-prefix=SAID
// RUN: sed 's/, moek.activations = "e4m3"//' %s > %t.f32.mlir
// RUN: moe-opt %t.f32.mlir --moe-nvidia-select-schedule --split-input-file | FileCheck %s --check-prefix=F32
// F32-NOT: rows = e4m3

// Weights are packed as they are for other kernels: 2 blocks of a panel of 32 times a
// scale and 128 values.
// CHECK-LABEL: func.func @tiles
// CHECK: layout(#moe_gpu.blocks<#moe.fp8>) : {{.*}} -> tensor<4x6x2x4224xi8>
// CHECK: lhs(%{{.*}} : tensor<?x256xbf16>) {{.*}} schedule(#moe_nvidia.schedule<few = 24, rows = e4m3>)
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>, moek.activations = "e4m3"} {
  func.func @tiles(%x: tensor<?x256xf32>, %o: tensor<5xi32>, %v: tensor<4x72x2x128xf8E4M3FN>, %s: tensor<4x1x2xf32>,
      %v1: tensor<4x72x2x128xf8E4M3FN>, %s1: tensor<4x1x2xf32>, %e: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
    %g = moe.dequantize #moe.fp8 (%v, %s : tensor<4x72x2x128xf8E4M3FN>, tensor<4x1x2xf32>) : tensor<4x72x256xf32>
    %u = moe.dequantize #moe.fp8 (%v1, %s1 : tensor<4x72x2x128xf8E4M3FN>, tensor<4x1x2xf32>) : tensor<4x72x256xf32>
    %p = moek.pack %g, %u parts(2) : tensor<4x72x256xf32>, tensor<4x72x256xf32> -> tensor<4x2x72x256xf32>
    %h = moek.grouped_matmul n(72) k(256) parts(2) lhs(%x : tensor<?x256xf32>) rhs(%p : tensor<4x2x72x256xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.fp8) outs(%e : tensor<?x72xbf16>) epilogue {
    ^bb0(%c: f32, %d: f32):
      %m = arith.mulf %c, %d : f32
      moek.yield %m : f32
    } -> tensor<?x72xbf16>
    return %h : tensor<?x72xbf16>
  }
}

// -----

// CHECK-LABEL: func.func @older
// CHECK: schedule(#moe_nvidia.schedule<few = -1>)
// SAID: rows become bf16, as kernels for NVIDIA's GPUs multiply rows of e4m3 with wgmma alone, which sm_80 has not
module attributes {moek.target = #moe_nvidia.target<"sm_80", cpu = "sm_80", wgmma = false>, moek.activations = "e4m3"} {
  func.func @older(%x: tensor<?x128xbf16>, %o: tensor<5xi32>, %v: tensor<4x72x1x128xf8E4M3FN>, %s: tensor<4x1x1xf32>, %e: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
    %w = moe.dequantize #moe.fp8 (%v, %s : tensor<4x72x1x128xf8E4M3FN>, tensor<4x1x1xf32>) : tensor<4x72x128xf32>
    %p = moek.pack %w : tensor<4x72x128xf32> -> tensor<4x1x72x128xf32>
    %h = moek.grouped_matmul n(72) k(128) lhs(%x : tensor<?x128xbf16>) rhs(%p : tensor<4x1x72x128xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.fp8) outs(%e : tensor<?x72xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x72xbf16>
    return %h : tensor<?x72xbf16>
  }
}

// -----

// CHECK-LABEL: func.func @half_group
// CHECK: schedule(#moe_nvidia.schedule<few = 64>)
// SAID: multiply rows of e4m3 where k is a multiple of 128 and n of 8, got k = 192, n = 72
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>, moek.activations = "e4m3"} {
  func.func @half_group(%x: tensor<?x192xbf16>, %o: tensor<5xi32>, %v: tensor<4x72x3x64xf8E4M3FN>, %s: tensor<4x72xf32>, %e: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
    %w = moe.dequantize #moe.fp8<rows = 1, columns = 0> (%v, %s : tensor<4x72x3x64xf8E4M3FN>, tensor<4x72xf32>) : tensor<4x72x192xf32>
    %p = moek.pack %w : tensor<4x72x192xf32> -> tensor<4x1x72x192xf32>
    %h = moek.grouped_matmul n(72) k(192) lhs(%x : tensor<?x192xbf16>) rhs(%p : tensor<4x1x72x192xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.fp8<rows = 1, columns = 0>) outs(%e : tensor<?x72xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x72xbf16>
    return %h : tensor<?x72xbf16>
  }
}

// -----

// CHECK-LABEL: func.func @codes
// CHECK: schedule(#moe_nvidia.schedule<few = 64>)
// SAID: multiply rows of e4m3 with weights in #moe.fp8 whose scales are of whole rows or of a multiple of 128 columns
module attributes {moek.target = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>, moek.activations = "e4m3"} {
  func.func @codes(%x: tensor<?x128xbf16>, %o: tensor<5xi32>, %g: tensor<4x72x4x18xi8>, %e: tensor<?x72xbf16>) -> tensor<?x72xbf16> {
    %w = moe.dequantize #moe.q4_0 (%g : tensor<4x72x4x18xi8>) : tensor<4x72x128xf32>
    %p = moek.pack %w : tensor<4x72x128xf32> -> tensor<4x1x72x128xf32>
    %h = moek.grouped_matmul n(72) k(128) lhs(%x : tensor<?x128xbf16>) rhs(%p : tensor<4x1x72x128xf32>)
        groups(%o, %o : tensor<5xi32>, tensor<5xi32>) format(#moe.q4_0) outs(%e : tensor<?x72xbf16>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x72xbf16>
    return %h : tensor<?x72xbf16>
  }
}
