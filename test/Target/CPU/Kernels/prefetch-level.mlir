// RUN: moe-opt %s --convert-moek-to-vector | FileCheck %s

// What is prefetched into is the schedule's choice; kernels that differ in it
// are others.
// CHECK-LABEL: func.func @first_level
// CHECK: call @moek_fma_x16_pitch320_rows14_l1(
// CHECK: func.func private @moek_fma_x16_pitch320_rows14_l1_m1
// CHECK: "llvm.intr.prefetch"(%{{.*}}) <{cache = 1 : i32, hint = 3 : i32, rw = 0 : i32}>
func.func @first_level(%offsets: memref<9xi32>, %active: memref<9xi32>, %x: memref<?x80xf32>,
                       %w: memref<8x2x64x32x1xf32>, %h: memref<?x64xf32>) {
  moek.grouped_matmul n(64) k(64) lhs(%x : memref<?x80xf32>) rhs(%w : memref<8x2x64x32x1xf32>)
    groups(%offsets, %active : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536, stream_rows = 4, stream_ahead = 0, tile_ahead = 8192, prefetch_level = 1>)
    outs(%h : memref<?x64xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    }
  return
}
