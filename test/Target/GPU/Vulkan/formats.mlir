// Weights in a format as kernels for any GPU read them: panels of 32 columns, of which
// a thread decodes a round of one column into shared memory, by loads of words.
// RUN: moe-opt %s --convert-moek-to-gpu --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

// Blocks of 18 bytes, of which a column of a panel has two in a word of scales and four
// in a word of codes; eight values a round, four rounds a block, and a step of a tile
// of many rows is two of these.
// CHECK-LABEL: llvm.func @down_matmul(
// CHECK-SAME: %[[W:[^:]*]]: !llvm.ptr<1>, %[[X:[^:]*]]: !llvm.ptr<1>
// Panels of 2 blocks of 576 bytes.
// CHECK-DAG: %[[PANEL:.*]] = arith.constant 1152 : i64
// CHECK-DAG: %[[BLOCK:.*]] = arith.constant 576 : i64
// CHECK: moe_gpu.shared
// CHECK: scf.if
// CHECK: scf.for
// CHECK: arith.muli {{.*}}, %[[PANEL]] : i64
// CHECK: arith.muli {{.*}}, %[[BLOCK]] : i64
// CHECK: %[[SCALE:.*]] = arith.extf {{.*}} : f16 to f32
// CHECK: %[[CODE:.*]] = arith.sitofp {{.*}} : i32 to f32
// CHECK: %[[VALUE:.*]] = arith.mulf %[[SCALE]], %[[CODE]] : f32
// CHECK: llvm.store %[[VALUE]], {{.*}} : f32, !llvm.ptr<3>
// CHECK: moe_gpu.barrier
// CHECK: llvm.intr.fma
// CHECK: func.func @down
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  func.func @down(%x: memref<?x64xf32>, %w: memref<4x2x2x576xi8>, %o: memref<5xi32>,
      %a: memref<5xi32>, %y: memref<?x48xf32>) {
    moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<4x2x2x576xi8>)
        groups(%o, %a : memref<5xi32>, memref<5xi32>) format(#moe.q4_0)
        schedule(#moe_vulkan.schedule<few = 0>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    }
    return
  }
}

// -----

// A grid is a table of constants, two groups a word.
// CHECK-LABEL: llvm.func @grid_matmul(
// CHECK: moe_gpu.look_up [{{[-0-9, ]+}}] at
// CHECK: func.func @grid
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  func.func @grid(%x: memref<?x256xf32>, %w: memref<4x1x1x2112xi8>, %o: memref<5xi32>,
      %a: memref<5xi32>, %y: memref<?x32xf32>) {
    moek.grouped_matmul n(32) k(256) lhs(%x : memref<?x256xf32>) rhs(%w : memref<4x1x1x2112xi8>)
        groups(%o, %a : memref<5xi32>, memref<5xi32>) format(#moe.iq2_xxs)
        schedule(#moe_vulkan.schedule<few = 0>) outs(%y : memref<?x32xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    }
    return
  }
}

// -----

// The layout of another target.
module attributes {moek.target = #moe_vulkan.target<"vulkan">} {
  func.func @panels(%x: memref<?x64xf32>, %w: memref<4x1x2x576xi8>, %o: memref<5xi32>,
      %a: memref<5xi32>, %y: memref<?x48xf32>) {
    // expected-error @+1 {{has weights in #moe.q4_0 that are no #moe_gpu.blocks}}
    moek.grouped_matmul n(48) k(64) lhs(%x : memref<?x64xf32>) rhs(%w : memref<4x1x2x576xi8>)
        groups(%o, %a : memref<5xi32>, memref<5xi32>) format(#moe.q4_0)
        schedule(#moe_vulkan.schedule<few = 0>) outs(%y : memref<?x48xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    }
    return
  }
}
