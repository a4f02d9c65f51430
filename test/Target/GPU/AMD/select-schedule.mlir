// The combine becomes a kernel of its own, rows are bf16 between kernels, and who
// reads them as f32 gets them widened.
// RUN: moe-opt %s --moe-amd-select-schedule --split-input-file | FileCheck %s

#gfx942 = #moe_amd.target<"gfx942", cpu = "gfx942", depth = 8>
module attributes {moek.target = #gfx942} {
  // CHECK-LABEL: func.func @ffn
  // CHECK: %[[X:.*]] = arith.truncf %{{.*}} : tensor<?x128xf32> to tensor<?x128xbf16>
  // CHECK: %[[H:.*]] = moek.grouped_matmul n(64) k(128) lhs(%[[X]] : tensor<?x128xbf16>)
  // CHECK-SAME: gather(
  // CHECK-SAME: schedule(#moe_amd.schedule<units = matrix, few = 256>)
  // CHECK-SAME: outs(%{{.*}} : tensor<?x64xbf16>)
  // CHECK: %[[WIDE:.*]] = arith.extf %[[H]]
  // CHECK: %[[ROWS:.*]] = moek.grouped_matmul n(128) k(64) lhs(%[[H]] : tensor<?x64xbf16>)
  // CHECK-NOT: combine
  // CHECK-SAME: schedule(#moe_amd.schedule<units = matrix, few = 256>)
  // CHECK: %[[Y:.*]] = moek.combine ins(%[[ROWS]], %{{.*}} : tensor<?x128xbf16>, tensor<?x2xi32>)
  // CHECK-SAME: slot_weights(
  // CHECK: return %[[Y]], %[[WIDE]]
  func.func @ffn(%x: tensor<?x128xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>,
      %w: tensor<8x1x64x128xbf16>, %v: tensor<8x1x128x64xbf16>, %p: tensor<?x2xi32>,
      %s: tensor<?x2xf32>, %n: index, %y: tensor<?x128xf32>) -> (tensor<?x128xf32>, tensor<?x64xf32>) {
    %e = tensor.empty(%n) : tensor<?x64xf32>
    %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xf32>)
        rhs(%w : tensor<8x1x64x128xbf16>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>)
        gather(%t : tensor<?xi32>) outs(%e : tensor<?x64xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xf32>
    %r = moek.grouped_matmul n(128) k(64) lhs(%h : tensor<?x64xf32>)
        rhs(%v : tensor<8x1x128x64xbf16>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>)
        combine(%p : tensor<?x2xi32>) slot_weights(%s : tensor<?x2xf32>)
        outs(%y : tensor<?x128xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x128xf32>
    return %r, %h : tensor<?x128xf32>, tensor<?x64xf32>
  }
}

// -----

// Weights of f32, and those whose rows are scaled before, are for multiplications and
// additions: rows keep their types.
#gfx90a = #moe_amd.target<"gfx90a", cpu = "gfx90a", depth = 8>
module attributes {moek.target = #gfx90a} {
  // CHECK-LABEL: func.func @plain
  // CHECK: moek.grouped_matmul n(64) k(128) lhs(%{{.*}} : tensor<?x128xf32>)
  // CHECK-SAME: schedule(#moe_amd.schedule<units = vector, few = 64>)
  // CHECK-SAME: outs(%{{.*}} : tensor<?x64xf32>)
  // CHECK: moek.grouped_matmul n(128) k(64) lhs(%{{.*}} : tensor<?x64xf32>)
  // CHECK-SAME: schedule(#moe_amd.schedule<units = vector, few = 64>)
  func.func @plain(%x: tensor<?x128xf32>, %o: tensor<9xi32>, %t: tensor<?xi32>, %s: tensor<?xf32>,
      %w: tensor<8x1x64x128xf32>, %v: tensor<8x1x128x64xbf16>, %n: index) -> tensor<?x128xf32> {
    %e = tensor.empty(%n) : tensor<?x64xf32>
    %h = moek.grouped_matmul n(64) k(128) lhs(%x : tensor<?x128xf32>)
        rhs(%w : tensor<8x1x64x128xf32>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        outs(%e : tensor<?x64xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x64xf32>
    %f = tensor.empty(%n) : tensor<?x128xf32>
    %r = moek.grouped_matmul n(128) k(64) lhs(%h : tensor<?x64xf32>)
        rhs(%v : tensor<8x1x128x64xbf16>) groups(%o, %o : tensor<9xi32>, tensor<9xi32>)
        gather(%t : tensor<?xi32>) gather_weights(%s : tensor<?xf32>)
        outs(%f : tensor<?x128xf32>) epilogue {
    ^bb0(%c: f32):
      moek.yield %c : f32
    } -> tensor<?x128xf32>
    return %r : tensor<?x128xf32>
  }
}
