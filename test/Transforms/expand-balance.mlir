// RUN: moe-opt %s --moe-expand-balance --canonicalize --cse | FileCheck %s

// Counts are differences of offsets; nobody reads indices for them.
// CHECK-LABEL: func @counts
// CHECK-NOT: moe.routing.indices
// CHECK: %[[O:.*]] = moe.routing.offsets %{{.*}} : !moe.routing<64 x 8> -> tensor<65xi32>
// CHECK-DAG: tensor.extract_slice %[[O]][1] [64] [1]
// CHECK-DAG: tensor.extract_slice %[[O]][0] [64] [1]
// CHECK: linalg.generic
// CHECK: arith.subi
// CHECK-NOT: moe.balance
func.func @counts(%r: !moe.routing<64 x 8>) -> tensor<64xi32> {
  %n = moe.balance %r [#moe.expert_counts] : !moe.routing<64 x 8> -> tensor<64xi32>
  return %n : tensor<64xi32>
}

// Two metrics share counts; what nobody uses is not built.
// CHECK-LABEL: func @shared
// CHECK-COUNT-1: moe.routing.offsets
// CHECK-NOT: moe.routing.offsets
// CHECK-NOT: math.sqrt
// CHECK: math.log
// CHECK-NOT: math.sqrt
// CHECK: return
func.func @shared(%r: !moe.routing<64 x 8>) -> (tensor<f32>, tensor<i32>) {
  %e, %cv, %d = moe.balance %r [#moe.effective_experts, #moe.coefficient_of_variation, #moe.dead_experts]
      : !moe.routing<64 x 8> -> tensor<f32>, tensor<f32>, tensor<i32>
  return %e, %d : tensor<f32>, tensor<i32>
}

// Given counts take the place of the routing's.
// CHECK-LABEL: func @window
// CHECK-SAME: !moe.routing<64 x 8>, %[[N:.*]]: tensor<64xi32>
// CHECK-NOT: moe.routing
// CHECK: linalg.generic {{.*}} ins(%[[N]]
func.func @window(%r: !moe.routing<64 x 8>, %n: tensor<64xi32>) -> tensor<f32> {
  %g = moe.balance %r [#moe.max_violation] counts(%n : tensor<64xi32>) : !moe.routing<64 x 8> -> tensor<f32>
  return %g : tensor<f32>
}

// The loss of DeepSeek-V3 chooses by the raw scores, in a router of its own.
// CHECK-LABEL: func @sequences
// CHECK-SAME: !moe.routing<16 x 2>, %[[S:.*]]: tensor<?x16xf32>
// CHECK: %[[OWN:.*]] = moe.router #moe.top_k<2> select(%[[S]]) weigh(%[[S]])
// CHECK: moe.routing.indices %[[OWN]]
// CHECK: scf.for
// CHECK-NOT: moe.balance
func.func @sequences(%r: !moe.routing<16 x 2>, %s: tensor<?x16xf32>) -> tensor<f32> {
  %l = moe.balance %r [#moe.sequence_loss<length = 128>] scores(%s : tensor<?x16xf32>) : !moe.routing<16 x 2> -> tensor<f32>
  return %l : tensor<f32>
}

// f32 whatever comes in.
// CHECK-LABEL: func @narrow
// CHECK: arith.extf %{{.*}} : bf16 to f32
// CHECK: arith.maximumf %{{.*}} : f32
func.func @narrow(%r: !moe.routing<16 x 2>, %z: tensor<?x16xbf16>) -> tensor<f32> {
  %l = moe.balance %r [#moe.z_loss] logits(%z : tensor<?x16xbf16>) : !moe.routing<16 x 2> -> tensor<f32>
  return %l : tensor<f32>
}
