// Each target gives its own tile; the decision is an attribute and can be
// overridden by one that is already there.
//
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v3 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V3
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V4
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4-bf16 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: not moe-opt %s --moe-set-target=chip=pentium --moek-select-schedule 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not moe-opt %s --moek-select-schedule 2>&1 | FileCheck %s --check-prefix=NONE

// UNKNOWN: unknown target 'pentium'; known are {{.*}}x86-64-v3, x86-64-v4, x86-64-v4-bf16
// NONE: has no CPU as its target; set the module attribute 'moek.target' or name one in moe-set-target

// V3: moek.target = #moe_cpu.target<"x86-64-v3", arch = x86_64, cpu = "x86-64-v3", features = "", needs = ["x86_v3"], instructions = [], lanes = 8, registers = 16
// V4: moek.target = #moe_cpu.target<"x86-64-v4", arch = x86_64, cpu = "x86-64-v4", features = "", needs = ["x86_v3", "x86_v4"], instructions = ["compress"], lanes = 16, registers = 32
// BF16: moek.target = #moe_cpu.target<"x86-64-v4-bf16", arch = x86_64, cpu = "x86-64-v4", features = "+avx512bf16{{[^"]*}}", needs = ["x86_v3", "x86_v4", "x86_avx512_bf16"], instructions = ["dot_bf16", "compress_bytes"], lanes = 16

// CHECK-LABEL: @f32
// V3: schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 6,
// V4: schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14,
// BF16: schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14,
func.func @f32(%x: tensor<?x64xf32>, %w: tensor<8x2x64x32x1xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x2x64x32x1xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}

// Rows between two products take the length and the type the second reads.
// CHECK-LABEL: @pair
// V3: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x48xf32>
// V3: schedule(#moe_cpu.schedule<widen, lanes = 8, rows = 5,
// V3-SAME: outs(%[[E]] : tensor<?x48xf32>)
// V4: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x48xf32>
// V4: schedule(#moe_cpu.schedule<widen, lanes = 16, rows = 12,
// V4-SAME: outs(%[[E]] : tensor<?x48xf32>)
// BF16: %[[E:.*]] = tensor.empty(%{{.*}}) : tensor<?x96xbf16>
// BF16: schedule(#moe_cpu.schedule<dot_bf16, lanes = 16, rows = 14,
// BF16-SAME: outs(%[[E]] : tensor<?x96xbf16>)
// BF16: moek.grouped_matmul n(64) k(48) lhs(%{{.*}} : tensor<?x96xbf16>)
func.func @pair(%x: tensor<?x64xf32>, %w: tensor<8x2x32x32x2xbf16>, %d: tensor<8x2x24x32x2xbf16>, %o: tensor<9xi32>,
                %n: index, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %e = tensor.empty(%n) : tensor<?x48xf32>
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x2x32x32x2xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  %1 = moek.grouped_matmul n(64) k(48) lhs(%0 : tensor<?x48xf32>) rhs(%d : tensor<8x2x24x32x2xbf16>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>) outs(%y : tensor<?x64xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: @overridden
// CHECK: schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 3,
func.func @overridden(%x: tensor<?x64xf32>, %w: tensor<8x2x64x32x1xf32>, %o: tensor<9xi32>, %y: tensor<?x48xf32>) -> tensor<?x48xf32> {
  %0 = moek.grouped_matmul n(48) k(64) lhs(%x : tensor<?x64xf32>) rhs(%w : tensor<8x2x64x32x1xf32>)
    groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 3, block_rows = 32, chunk = 8192, run = 65536, stream_rows = 2, stream_ahead = 0, tile_ahead = 4096>)
    outs(%y : tensor<?x48xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x48xf32>
  return %0 : tensor<?x48xf32>
}
