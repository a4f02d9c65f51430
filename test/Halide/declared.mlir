// Tiles and bodies of a kernel that names Halide are declared with their programs.

// REQUIRES: halide
// RUN: moe-opt %s --convert-moek-to-vector | FileCheck %s

// The wrappers make buffers, of which the address of the data is at byte 16.
// CHECK-LABEL: func.func @up(
// CHECK: call @moek_fma_x8_pitch32_rows1_halide(
// CHECK: call @moek_fma_x8_pitch32_rows1_next_halide(
// CHECK: call @moek_elements_0({{.*}}) : (vector<16xf32>, vector<16xf32>) -> vector<16xf32>
// CHECK-LABEL: func.func private @moek_fma_x8_pitch32_rows1_halide_m1(
// CHECK-SAME: %[[BLOCKS:[^:]*]]: i64, %[[PANEL:[^:]*]]: !llvm.ptr
// CHECK: llvm.alloca %{{.*}} x i8
// CHECK: call @moek_fma_x8_pitch32_rows1_halide_m1_made(%{{[^)]*}}) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i32, !llvm.ptr) -> i32
// CHECK: func.func private @moek_fma_x8_pitch32_rows1_halide_m1_made(
// CHECK-SAME: moek.ahead = array<i64: 8192, 2>
// CHECK-SAME: moek.codegen = "halide"
// CHECK-SAME: moek.program = "tile fma rows 1 columns 32 lanes 8 pitch 32"
// CHECK: func.func private @moek_fma_x8_pitch32_rows1_next_halide_m1_made(
// CHECK-SAME: moek.next_level = 2
// CHECK-SAME: moek.program = "tile fma rows 1 columns 32 lanes 8 pitch 32 next"
// CHECK: func.func private @moek_elements_0_made(
// CHECK-SAME: moek.program = "lanes 16\0Aargument f32\0Aargument f32\0Aconstant f32 1065353216\0Aaddf f32 0 2\0Amulf f32 3 1\0Ayield 4"
module {
  func.func @up(%x: memref<4x8xf32>, %o: memref<3xi32>, %a: memref<3xi32>,
      %p: memref<2x2x8x32x1xf32>, %y: memref<4x32xf32>) {
    moek.grouped_matmul n(32) k(8) parts(2) lhs(%x : memref<4x8xf32>)
        rhs(%p : memref<2x2x8x32x1xf32>)
        groups(%o, %a : memref<3xi32>, memref<3xi32>)
        schedule(#moe_cpu.schedule<fma, lanes = 8, rows = 1, block_rows = 1,
                 chunk = 16384, run = 2097152, prefetch = [<rows = 1,
                 ahead = [8192], levels = [2]>]>)
        outs(%y : memref<4x32xf32>)
        attributes {moek.codegen = "halide"} epilogue {
    ^bb0(%c: f32, %d: f32):
      %one = arith.constant 1.0 : f32
      %s = arith.addf %c, %one : f32
      %m = arith.mulf %s, %d : f32
      moek.yield %m : f32
    }
    return
  }
}
