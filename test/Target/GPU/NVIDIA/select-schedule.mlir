// The combine becomes a kernel of its own, rows are bf16 between kernels, and who
// reads them as f32 gets them widened.
// RUN: moe-opt %s --moe-nvidia-select-schedule | FileCheck %s

#sm_90a = #moe_nvidia.target<"sm_90a", cpu = "sm_90a", wgmma = true>
module attributes {moek.target = #sm_90a} {
  // CHECK-LABEL: func.func @ffn
  // CHECK: %[[X:.*]] = arith.truncf %{{.*}} : tensor<?x128xf32> to tensor<?x128xbf16>
  // CHECK: %[[H:.*]] = moek.grouped_matmul n(64) k(128) lhs(%[[X]] : tensor<?x128xbf16>)
  // CHECK-SAME: gather(
  // CHECK-SAME: schedule(#moe_nvidia.schedule<few = 48>)
  // CHECK-SAME: outs(%{{.*}} : tensor<?x64xbf16>)
  // CHECK: %[[WIDE:.*]] = arith.extf %[[H]]
  // CHECK: %[[ROWS:.*]] = moek.grouped_matmul n(128) k(64) lhs(%[[H]] : tensor<?x64xbf16>)
  // CHECK-NOT: combine
  // CHECK-SAME: schedule(#moe_nvidia.schedule<few = 48>)
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
