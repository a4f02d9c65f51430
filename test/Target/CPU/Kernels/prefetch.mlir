// RUN: moe-opt %s --convert-moek-to-vector | FileCheck %s

// What is prefetched, and into which cache, is the schedule's choice; kernels
// that differ in it are others. Requests stand between the multiplications.
// CHECK-LABEL: func.func @twice
// CHECK: call @moek_fma_x16_pitch320_rows14(
// CHECK: call @moek_fma_x16_pitch320_rows14_next(
// CHECK-LABEL: func.func @by_hardware
// CHECK: call @moek_fma_x16_pitch320_rows14_1(
// CHECK: call @moek_fma_x16_pitch320_rows14_next_1(

// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_m1(
// CHECK-NOT: prefetch
// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_m2(
// CHECK: getelementptr %{{.*}}[12288]
// CHECK: prefetch"(%{{.*}}) <{cache = 1 : i32, hint = 2 : i32, rw = 0 : i32}>
// CHECK: vector.fma
// CHECK: getelementptr %{{.*}}[4096]
// CHECK: prefetch"(%{{.*}}) <{cache = 1 : i32, hint = 3 : i32, rw = 0 : i32}>
// CHECK: vector.fma
// CHECK: getelementptr %{{.*}}[12352]
// CHECK: vector.fma
// CHECK: getelementptr %{{.*}}[4160]
// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_m3(
// CHECK-NOT: [12288]
// CHECK: [8192]
// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_m4(
// CHECK-NOT: prefetch

// CHECK: func.func private @moek_fma_x16_pitch320_rows14({{.*}} attributes {moe_cpu.kernels = #moe_cpu.schedule<fma, {{.*}} prefetch = [<rows = 1>, <rows = 2, ahead = [12288, 4096], levels = [2, 1]>, <rows = 3, ahead = [8192], levels = [2]>]>}

// What follows, where several tiles share a panel: a line in each step.
// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_next_m1(
// CHECK: scf.for {{.*}} iter_args({{.*}}, %[[AT:.*]] = %arg4)
// CHECK: prefetch"(%[[AT]]) <{cache = 1 : i32, hint = 3 : i32, rw = 0 : i32}>
// CHECK: getelementptr %[[AT]][%arg5]

// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_1_m14(
// CHECK-NOT: prefetch"
// CHECK-LABEL: func.func private @moek_fma_x16_pitch320_rows14_next_1_m1(
func.func @twice(%offsets: memref<9xi32>, %active: memref<9xi32>, %x: memref<?x80xf32>,
                 %w: memref<8x2x64x32x1xf32>, %h: memref<?x64xf32>) {
  moek.grouped_matmul n(64) k(64) lhs(%x : memref<?x80xf32>) rhs(%w : memref<8x2x64x32x1xf32>)
    groups(%offsets, %active : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536,
             prefetch = [<rows = 1>, <rows = 2, ahead = [12288, 4096], levels = [2, 1]>, <rows = 3, ahead = [8192], levels = [2]>],
             prefetch_level = 1>)
    outs(%h : memref<?x64xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    }
  return
}

func.func @by_hardware(%offsets: memref<9xi32>, %active: memref<9xi32>, %x: memref<?x80xf32>,
                       %w: memref<8x2x64x32x1xf32>, %h: memref<?x64xf32>) {
  moek.grouped_matmul n(64) k(64) lhs(%x : memref<?x80xf32>) rhs(%w : memref<8x2x64x32x1xf32>)
    groups(%offsets, %active : memref<9xi32>, memref<9xi32>)
    schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536>)
    outs(%h : memref<?x64xf32>) epilogue {
    ^bb0(%v: f32):
      moek.yield %v : f32
    }
  return
}
