// RUN: moe-opt %s --convert-moek-to-vector --canonicalize --cse --split-input-file | FileCheck %s

// One item is a run of panels of one expert; each of its panels goes through
// chunks of k and row tiles, then through the epilogue on vectors.

// CHECK-LABEL: func.func @gate_up
// CHECK-SAME: %[[OFFSETS:.*]]: memref<9xi32>, %[[ACTIVE:.*]]: memref<9xi32>, %[[TOKENS:.*]]: memref<?xi32>
// CHECK: memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?x80xf32>
// CHECK: moe_rt.trace "begin" "gather"
// CHECK: scf.parallel
// CHECK: vector.load %{{.*}} : memref<?x64xf32>, vector<16xf32>
// CHECK: moe_rt.trace "begin" "gate_up"
// CHECK: moe_rt.num_threads
// CHECK: scf.parallel
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<64x32xf32>
// CHECK: scf.if
// CHECK: call @moek_fma_x16_pitch320_rows14
// CHECK: } else {
// CHECK: call @moek_fma_x16_pitch320_rows14
// CHECK: math.exp %{{.*}} : vector<16xf32>
// CHECK: vector.store %{{.*}} : memref<?x48xf32>, vector<16xf32>
// CHECK: moe_rt.trace "end" "gate_up"
// CHECK: func.func private @moek_fma_x16_pitch320_rows14_m1
// CHECK: vector.fma
// CHECK: func.func private @moek_fma_x16_pitch320_rows14_m14
// CHECK: func.func private @moek_fma_x16_pitch320_rows14(
// CHECK: scf.index_switch
func.func @gate_up(%offsets: memref<9xi32>, %active: memref<9xi32>, %tokens: memref<?xi32>, %x: memref<?x64xf32>,
                   %w: memref<8x3x64x32x1xf32>, %h: memref<?x48xf32>) {
  moek.grouped_matmul n(48) k(64) parts(2) lhs(%x : memref<?x64xf32>) rhs(%w : memref<8x3x64x32x1xf32>)
    groups(%offsets, %active : memref<9xi32>, memref<9xi32>) gather(%tokens : memref<?xi32>)
    phase("gate_up") schedule(#moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>)
    outs(%h : memref<?x48xf32>) epilogue {
    ^bb0(%g: f32, %u: f32):
      %e = math.exp %g : f32
      %v = arith.mulf %e, %u : f32
      moek.yield %v : f32
    }
  return
}
