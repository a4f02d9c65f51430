// RUN: moe-opt %s --moe-expand-activations | FileCheck %s

// CHECK-LABEL: func @named
// CHECK: moe.ffn
// CHECK-NOT: activation
// CHECK-SAME: body {
// CHECK: arith.maximumf
// CHECK: arith.mulf
// CHECK: moe.yield %{{.*}} : f32
func.func @named(%x: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %f = moe.ffn %x up(%u) down(%d) activation(#moe.relu2) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
  return %f : tensor<?x64xf32>
}

// A gated activation takes both values.
// CHECK-LABEL: func @gated
// CHECK: body {
// CHECK-NEXT: ^bb0(%[[G:.*]]: f32, %[[U:.*]]: f32):
// CHECK: math.exp
func.func @gated(%x: tensor<?x64xf32>, %g: tensor<32x64xbf16>, %u: tensor<32x64xbf16>, %d: tensor<64x32xbf16>) -> tensor<?x64xf32> {
  %f = moe.ffn %x gate(%g) up(%u) down(%d) activation(#moe.silu) : (tensor<?x64xf32>, tensor<32x64xbf16>, tensor<32x64xbf16>, tensor<64x32xbf16>) -> tensor<?x64xf32>
  return %f : tensor<?x64xf32>
}

// CHECK-LABEL: func @weighing
// CHECK: moe.router #moe.top_k<2>
// CHECK-NOT: weighing
// CHECK-SAME: weights {
// CHECK: vector.reduction <maximumf>
// CHECK: math.exp
// CHECK: moe.yield %{{.*}} : vector<2xf32>
func.func @weighing(%s: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// What is a region already stays as it is.
// CHECK-LABEL: func @region
// CHECK: body {
// CHECK: math.sin
func.func @region(%x: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>) -> tensor<?x64xf32> {
  %f = moe.ffn %x up(%u) down(%d) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32> body {
  ^bb0(%v: f32):
    %s = math.sin %v : f32
    moe.yield %s : f32
  }
  return %f : tensor<?x64xf32>
}
