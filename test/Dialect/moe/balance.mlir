// RUN: moe-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func @losses
// CHECK: %[[R:.*]] = moe.routing.make
// CHECK-NEXT: %switch_loss, %z_loss, %bias_update = moe.balance %[[R]] [#moe.switch_loss, #moe.z_loss, #moe.bias_update]
// CHECK-SAME: scores(%{{.*}} : tensor<?x64xf32>) logits(%{{.*}} : tensor<?x64xbf16>) bias(%{{.*}} : tensor<64xf32>)
// CHECK-SAME: : !moe.routing<64 x 8> -> tensor<f32>, tensor<f32>, tensor<64xf32>
func.func @losses(%i: tensor<?x8xi32>, %w: tensor<?x8xf32>, %p: tensor<?x64xf32>, %z: tensor<?x64xbf16>, %b: tensor<64xf32>) -> (tensor<f32>, tensor<f32>, tensor<64xf32>) {
  %r = moe.routing.make %i, %w : tensor<?x8xi32>, tensor<?x8xf32> -> !moe.routing<64 x 8>
  %0:3 = moe.balance %r [#moe.switch_loss, #moe.z_loss, #moe.bias_update]
      scores(%p : tensor<?x64xf32>) logits(%z : tensor<?x64xbf16>) bias(%b : tensor<64xf32>)
      : !moe.routing<64 x 8> -> tensor<f32>, tensor<f32>, tensor<64xf32>
  return %0#0, %0#1, %0#2 : tensor<f32>, tensor<f32>, tensor<64xf32>
}

// Every parameter, in the order in which they print; defaults are left out.
// CHECK-LABEL: func private @parameters(
// CHECK-SAME: a = #moe.switch_loss, b = #moe.switch_loss<first, length = 1024>, c = #moe.switch_loss<k = 1>
func.func private @parameters() attributes {
  a = #moe.switch_loss<k = 0>, b = #moe.switch_loss<length = 1024, first>, c = #moe.switch_loss<k = 1>}
// CHECK-LABEL: func private @more_parameters(
// CHECK-SAME: a = #moe.sequence_loss, b = #moe.sequence_loss<alpha = 0.001, k = 6, length = 4096>
// CHECK-SAME: c = #moe.bias_update, d = #moe.bias_update<gamma = 0.0>
func.func private @more_parameters() attributes {
  a = #moe.sequence_loss<alpha = 1.0e-4>, b = #moe.sequence_loss<length = 4096, k = 6, alpha = 1.0e-3>,
  c = #moe.bias_update<gamma = 0.001>, d = #moe.bias_update<gamma = 0.0>}
// CHECK-LABEL: func private @thresholds(
// CHECK-SAME: a = #moe.collapse, b = #moe.collapse<k = 2, spread = 0.25, share = 0.75, ratio = 2, assignments = 10>
func.func private @thresholds() attributes {
  a = #moe.collapse<spread = 0.1, share = 0.5, ratio = 4, assignments = 100>,
  b = #moe.collapse<assignments = 10, ratio = 2, share = 0.75, spread = 0.25, k = 2>}

// What reads the routing alone; attributes of other kinds stay.
// CHECK-LABEL: func @health
// CHECK: moe.balance %{{.*}} [#moe.expert_counts, #moe.normalized_entropy, #moe.effective_experts, #moe.max_over_mean, #moe.max_violation, #moe.coefficient_of_variation, #moe.dead_experts, #moe.gini, #moe.collapse, #moe.dynmoe_load_loss]
// CHECK-SAME: attributes {layer = 3 : i64} : !moe.routing<16 x 2> -> tensor<16xi32>, tensor<f32>
func.func @health(%r: !moe.routing<16 x 2>) -> tensor<16xi32> {
  %c, %e, %ee, %m, %v, %cv, %d, %g, %s, %l = moe.balance %r
      [#moe.expert_counts, #moe.normalized_entropy, #moe.effective_experts,
       #moe.max_over_mean, #moe.max_violation, #moe.coefficient_of_variation,
       #moe.dead_experts, #moe.gini, #moe.collapse, #moe.dynmoe_load_loss]
      attributes {layer = 3}
      : !moe.routing<16 x 2> -> tensor<16xi32>, tensor<f32>, tensor<f32>,
        tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<f32>
  return %c : tensor<16xi32>
}

// An input that several metrics read is given once; optional ones may be left out.
// CHECK-LABEL: func @inputs
// CHECK: moe.balance {{.*}} [#moe.sequence_loss, #moe.score_entropy] scores(%{{.*}} : tensor<?x16xf32>) :
// CHECK: moe.balance {{.*}} [#moe.dynmoe_loss] similarity(%{{.*}} : tensor<?x16xf32>) active(%{{.*}} : tensor<16xf32>) :
// CHECK: moe.balance {{.*}} [#moe.dynmoe_loss] similarity(%{{.*}} : tensor<?x16xf32>) :
// CHECK: moe.balance {{.*}} [#moe.gini, #moe.bias_update] counts(%{{.*}} : tensor<16xi32>) bias(%{{.*}} : tensor<16xf32>) :
func.func @inputs(%r: !moe.routing<16 x 2>, %p: tensor<?x16xf32>, %a: tensor<16xf32>, %n: tensor<16xi32>) {
  %0:2 = moe.balance %r [#moe.sequence_loss, #moe.score_entropy] scores(%p : tensor<?x16xf32>) : !moe.routing<16 x 2> -> tensor<f32>, tensor<f32>
  %1 = moe.balance %r [#moe.dynmoe_loss] similarity(%p : tensor<?x16xf32>) active(%a : tensor<16xf32>) : !moe.routing<16 x 2> -> tensor<f32>
  %2 = moe.balance %r [#moe.dynmoe_loss] similarity(%p : tensor<?x16xf32>) : !moe.routing<16 x 2> -> tensor<f32>
  %3:2 = moe.balance %r [#moe.gini, #moe.bias_update] counts(%n : tensor<16xi32>) bias(%a : tensor<16xf32>) : !moe.routing<16 x 2> -> tensor<f32>, tensor<16xf32>
  return
}
