// RUN: moe-opt %s --verify-roundtrip | FileCheck %s
// RUN: moe-opt %s --emit-bytecode | moe-opt --allow-bytecode | FileCheck %s

// CHECK-LABEL: @layer
func.func @layer(%x: tensor<?x64xf32>, %wr: tensor<8x64xf32>, %bias: tensor<8xf32>,
                 %wg: tensor<8x48x64xbf16>, %wu: tensor<8x48x64xbf16>,
                 %wd: tensor<8x64x48xbf16>, %rows0: tensor<?xi32>,
                 %indices: tensor<?x2xi32>, %weights: tensor<?x2xf32>,
                 %offsets: tensor<9xi32>, %active: tensor<9xi32>,
                 %row_weights: tensor<?xf32>, %h: tensor<?x48xf32>,
                 %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: moek.pack %{{[^ ]*}} : tensor<8x64xf32>
  %router = moek.pack %wr : tensor<8x64xf32> -> tensor<1x1x8x64xf32>
  // CHECK: moek.pack %{{.*}}, %{{.*}} parts(2) : tensor<8x48x64xbf16>
  %gate_up = moek.pack %wg, %wu parts(2)
    : tensor<8x48x64xbf16>, tensor<8x48x64xbf16> -> tensor<8x2x48x64xbf16>
  // CHECK: moek.pack %{{.*}} layout(#moe_cpu.panels<k_block = 2>)
  %down = moek.pack %wd layout(#moe_cpu.panels<k_block = 2>)
    : tensor<8x64x48xbf16> -> tensor<8x2x24x32x2xbf16>

  // CHECK: moek.route #moe.top_k<2> experts(8) logits(
  // CHECK-SAME: vectors(
  // CHECK: scores
  // CHECK: weigh
  %r:7 = moek.route #moe.top_k<2> experts(8)
      logits(%x, %router : tensor<?x64xf32>, tensor<1x1x8x64xf32>)
      vectors(%bias : tensor<8xf32>) capacity(16)
      outs(%indices, %weights, %offsets, %active, %rows0, %indices, %row_weights
        : tensor<?x2xi32>, tensor<?x2xf32>, tensor<9xi32>, tensor<9xi32>,
          tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>)
      scores {
      ^bb0(%z: vector<8xf32>, %b: vector<8xf32>):
        %s = arith.addf %z, %b : vector<8xf32>
        moek.yield %s, %z : vector<8xf32>, vector<8xf32>
      } weigh {
      ^bb0(%v: vector<2xf32>):
        moek.yield %v : vector<2xf32>
      } -> tensor<?x2xi32>, tensor<?x2xf32>, tensor<9xi32>, tensor<9xi32>,
           tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>

  // CHECK: moek.grouped_matmul n(48) k(64) parts(2)
  // CHECK-SAME: gather(
  %up = moek.grouped_matmul n(48) k(64) parts(2) lhs(%x : tensor<?x64xf32>)
      rhs(%gate_up : tensor<8x2x48x64xbf16>)
      groups(%r#2, %r#3 : tensor<9xi32>, tensor<9xi32>)
      gather(%r#4 : tensor<?xi32>) gather_weights(%r#6 : tensor<?xf32>)
      outs(%h : tensor<?x48xf32>) epilogue {
      ^bb0(%g: f32, %u: f32):
        %v = arith.mulf %g, %u : f32
        moek.yield %v : f32
      } -> tensor<?x48xf32>
  // CHECK: moek.grouped_matmul n(64) k(48)
  // CHECK-SAME: combine(
  // CHECK-SAME: slot_weights(
  // CHECK-SAME: schedule(#moe_cpu.schedule<dot_bf16
  %out = moek.grouped_matmul n(64) k(48) lhs(%up : tensor<?x48xf32>)
      rhs(%down : tensor<8x2x24x32x2xbf16>)
      groups(%r#2, %r#3 : tensor<9xi32>, tensor<9xi32>)
      combine(%r#5 : tensor<?x2xi32>) slot_weights(%r#1 : tensor<?x2xf32>)
      schedule(#moe_cpu.schedule<dot_bf16, lanes = 16, rows = 14, block_rows = 256, chunk = 131072,
                run = 2097152, prefetch = [<rows = 4, ahead = [131072], levels = [2]>, <rows = 16, ahead = [8192], levels = [2]>]>)
      outs(%y : tensor<?x64xf32>) epilogue {
      ^bb0(%g: f32):
        moek.yield %g : f32
      } -> tensor<?x64xf32>
  return %out : tensor<?x64xf32>
}

// CHECK-LABEL: @unfused
func.func @unfused(%x: memref<?x64xf32>, %indices: memref<?x2xi32>, %weights: memref<?x2xf32>,
                   %offsets: memref<9xi32>, %active: memref<9xi32>, %tokens: memref<?xi32>,
                   %positions: memref<?x2xi32>, %row_weights: memref<?xf32>,
                   %rows: memref<?x64xf32>, %y: memref<?x64xf32>) {
  // CHECK: moek.index experts(8)
  moek.index experts(8) ins(%indices, %weights : memref<?x2xi32>, memref<?x2xf32>)
    outs(%offsets, %active, %tokens, %positions, %row_weights
      : memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
  // CHECK: moek.index experts(8) traced
  moek.index experts(8) traced ins(%indices, %weights : memref<?x2xi32>, memref<?x2xf32>)
    outs(%offsets, %active, %tokens, %positions, %row_weights
      : memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
  // CHECK: moek.gather
  moek.gather ins(%x, %tokens, %offsets : memref<?x64xf32>, memref<?xi32>, memref<9xi32>)
    outs(%rows : memref<?x64xf32>)
  // CHECK: moek.combine
  moek.combine ins(%rows, %positions : memref<?x64xf32>, memref<?x2xi32>)
    slot_weights(%weights : memref<?x2xf32>) init(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>)
  return
}

// CHECK-LABEL: @rows
func.func @rows(%x: tensor<?x64xf32>, %r: tensor<?x80xbf16>, %s: tensor<?xf32>, %g: tensor<8x64xf32>, %c: tensor<8xf32>, %w: tensor<8x1x64x64xf32>,
                %offsets: tensor<9xi32>, %active: tensor<9xi32>, %tokens: tensor<?xi32>, %y: tensor<?x64xf32>, %n: tensor<?xf32>) -> (tensor<?x64xf32>, tensor<?xf32>) {
  // CHECK: moek.row_map groups(%{{.*}} : tensor<9xi32>) tokens(%{{.*}} : tensor<?xi32>) gathered(%{{.*}} : tensor<?x64xf32>)
  // CHECK-SAME: rows(%{{.*}}, %{{.*}} : tensor<?x80xbf16>, tensor<?xf32>) parameters(%{{.*}}, %{{.*}} : tensor<8x64xf32>, tensor<8xf32>)
  // CHECK-SAME: outs(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?xf32>) body {
  %h:2 = moek.row_map groups(%offsets : tensor<9xi32>) tokens(%tokens : tensor<?xi32>) gathered(%x : tensor<?x64xf32>)
      rows(%r, %s : tensor<?x80xbf16>, tensor<?xf32>) parameters(%g, %c : tensor<8x64xf32>, tensor<8xf32>)
      outs(%y, %n : tensor<?x64xf32>, tensor<?xf32>) body {
      ^bb0(%xv: vector<64xf32>, %rv: vector<64xbf16>, %sv: f32, %gv: vector<64xf32>, %cv: f32):
        %e = arith.extf %rv : vector<64xbf16> to vector<64xf32>
        %a = arith.addf %xv, %e : vector<64xf32>
        %m = arith.mulf %a, %gv : vector<64xf32>
        %t = vector.reduction <add>, %m : vector<64xf32> into f32
        %u = arith.addf %sv, %cv : f32
        %z = arith.addf %t, %u : f32
        moek.yield %m, %z : vector<64xf32>, f32
      } -> tensor<?x64xf32>, tensor<?xf32>
  // CHECK: moek.grouped_matmul
  // CHECK-SAME: tokens(%{{.*}} : tensor<?xi32>) gathered(%{{.*}} : tensor<?x64xf32>) rows(%{{.*}} : tensor<?xf32>) parameters(%{{.*}} : tensor<8x64xf32>) phase("down")
  %z = moek.grouped_matmul n(64) k(64) lhs(%h#0 : tensor<?x64xf32>) rhs(%w : tensor<8x1x64x64xf32>)
      groups(%offsets, %active : tensor<9xi32>, tensor<9xi32>)
      tokens(%tokens : tensor<?xi32>) gathered(%x : tensor<?x64xf32>) rows(%s : tensor<?xf32>) parameters(%g : tensor<8x64xf32>)
      phase("down") outs(%y : tensor<?x64xf32>) epilogue {
      ^bb0(%v: f32, %xv: f32, %sv: f32, %gv: f32):
        %a = arith.addf %v, %gv : f32
        %m = arith.mulf %a, %sv : f32
        %o = arith.addf %m, %xv : f32
        moek.yield %o : f32
      } -> tensor<?x64xf32>
  return %z, %h#1 : tensor<?x64xf32>, tensor<?xf32>
}
