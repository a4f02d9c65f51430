// Each row of AArch64 gives its own tile, and bf16 weights are packed as the
// matrix instruction reads them, unless others read them too.
//
// RUN: moe-opt %s --moe-set-target=chip=aarch64 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: moe-opt %s --moe-set-target=chip=aarch64+dotprod+fp16 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,NEON
// RUN: moe-opt %s --moe-set-target=chip=aarch64+sve --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,SVE
// RUN: moe-opt %s --moe-set-target=chip=aarch64+i8mm+bf16 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,MMLA,NEONF32
// RUN: moe-opt %s --moe-set-target=chip=aarch64+sve2 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,MMLA,SVEF32
// RUN: moe-opt %s --moe-set-target=chip=aarch64+sve2 --moek-select-schedule=keep-layout | FileCheck %s --check-prefixes=KEPT

// CHECK-LABEL: @f32
// NEON: schedule(#moe_cpu.schedule<fma, lanes = 4, rows = 10, {{.*}} prefetch = [<rows = 6>{{.*}}], window = {{[0-9]+}}>)
// NEONF32: schedule(#moe_cpu.schedule<fma, lanes = 4, rows = 10, {{.*}} prefetch = [<rows = 6>{{.*}}], window = {{[0-9]+}}>)
// SVE: schedule(#moe_cpu.schedule<fma, lanes = 4, rows = 10, {{.*}} scalable = true, window = {{[0-9]+}}>)
// SVEF32: schedule(#moe_cpu.schedule<fma, lanes = 4, rows = 10, {{.*}} scalable = true, window = {{[0-9]+}}>)
func.func @f32(%x: tensor<?x64xf32>, %m: tensor<8x48x64xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xf32> -> tensor<8x1x48x64xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// CHECK-LABEL: @packed
// NEON: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>) {{.*}} -> tensor<8x2x32x32x2xbf16>
// NEON: schedule(#moe_cpu.schedule<widen, lanes = 4, rows = 10, {{.*}} prefetch = [<rows = 6>{{.*}}], window = {{[0-9]+}}>)
// SVE: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>) {{.*}} -> tensor<8x2x32x32x2xbf16>
// SVE: schedule(#moe_cpu.schedule<widen, lanes = 4, rows = 10, {{.*}} scalable = true, window = {{[0-9]+}}>)
// MMLA: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 4>) {{.*}} -> tensor<8x2x16x32x4xbf16>
// MMLA: rhs(%{{.*}} : tensor<8x2x16x32x4xbf16>) {{.*}} schedule(#moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6, {{.*}} prefetch = [<rows = 6>{{.*}}], window = {{[0-9]+}}>)
// KEPT: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>)
// KEPT: schedule(#moe_cpu.schedule<mmla_bf16, lanes = 4, rows = 6,
func.func @packed(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// The other product has a schedule that reads pairs.
// CHECK-LABEL: @shared
// CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>)
func.func @shared(%x: tensor<?x64xf32>, %m: tensor<8x48x64xbf16>, %o: tensor<9xi32>, %y: tensor<?x48xf32>, %z: tensor<?x48xf32>) -> (tensor<?x48xf32>, tensor<?x48xf32>) {
  %w = moek.pack %m : tensor<8x48x64xbf16> -> tensor<8x1x48x64xbf16>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  %1 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x1x48x64xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<widen, lanes = 4, rows = 3, block_rows = 32, chunk = 8192, run = 65536, prefetch = [<rows = 2>, <rows = 16, ahead = [4096], levels = [2]>]>)
    outs(%z : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0, %1 : tensor<?x48xf32>, tensor<?x48xf32>
}
