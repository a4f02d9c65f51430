// RUN: moe-opt %s --test-moe-route --canonicalize | %run_mlir | FileCheck %s
// RUN: moe-opt %s --test-moe-expand --test-moe-route --canonicalize \
// RUN:   | %run_mlir | FileCheck %s

// Every weighing: its numbers. Values are chosen in the order 4, 2, -1, of
// experts 2, 0, 3.

func.func @scores() -> tensor<2x4xf32> {
  // The second token has values without a number among the chosen.
  %s = arith.constant dense<[[2.0, -8.0, 4.0, -1.0],
                             [1.0, 0x7fc00000, 0x7f800000, 0x7fc00000]]>
      : tensor<2x4xf32>
  return %s : tensor<2x4xf32>
}

func.func @print(%w: tensor<2x3xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %pad = arith.constant 0.0 : f32
  %v = vector.transfer_read %w[%c0, %c0], %pad {in_bounds = [true]}
      : tensor<2x3xf32>, vector<3xf32>
  vector.print %v : vector<3xf32>
  %u = vector.transfer_read %w[%c1, %c0], %pad {in_bounds = [true]}
      : tensor<2x3xf32>, vector<3xf32>
  vector.print %u : vector<3xf32>
  return
}

func.func @main() {
  %s = func.call @scores() : () -> tensor<2x4xf32>

  // Raw values.
  // CHECK: ( 4, 2, -1 )
  // CHECK-NEXT: ( inf, 1, {{-?}}nan )
  %raw = moe.router #moe.top_k<3> select(%s) weigh(%s)
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %raw_w = moe.routing.weights %raw : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%raw_w) : (tensor<2x3xf32>) -> ()

  // A token with +inf or NaN among its values has no softmax.
  // CHECK-NEXT: ( 0.875{{.*}}, 0.118{{.*}}, 0.0058{{.*}} )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %softmax = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.softmax] : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %softmax_w = moe.routing.weights %softmax : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%softmax_w) : (tensor<2x3xf32>) -> ()

  // CHECK-NEXT: ( 0.98201{{.*}}, 0.88079{{.*}}, 0.26894{{.*}} )
  // CHECK-NEXT: ( 1, 0.73105{{.*}}, {{-?}}nan )
  %sigmoid = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.sigmoid] : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %sigmoid_w = moe.routing.weights %sigmoid : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%sigmoid_w) : (tensor<2x3xf32>) -> ()

  // 4 + 2 - 1 = 5, and 3 more.
  // CHECK-NEXT: ( 0.8, 0.4, -0.2 )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %sum = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<sum>] : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %sum_w = moe.routing.weights %sum : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%sum_w) : (tensor<2x3xf32>) -> ()
  // CHECK-NEXT: ( 0.5, 0.25, -0.125 )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %eps = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<sum, eps = 3.0>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %eps_w = moe.routing.weights %eps : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%eps_w) : (tensor<2x3xf32>) -> ()

  // Of 5 and 16 the larger; NaN is not clamped away.
  // CHECK-NEXT: ( 0.25, 0.125, -0.0625 )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %clamp = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<clamp, min = 16.0>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %clamp_w = moe.routing.weights %clamp : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%clamp_w) : (tensor<2x3xf32>) -> ()

  // |4| + |2| + |-1| = 7; the root of 21; the third root of 73.
  // CHECK-NEXT: ( 0.571{{.*}}, 0.285{{.*}}, -0.142{{.*}} )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %p1 = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<p_norm, p = 1.0>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %p1_w = moe.routing.weights %p1 : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%p1_w) : (tensor<2x3xf32>) -> ()
  // CHECK-NEXT: ( 0.872{{.*}}, 0.436{{.*}}, -0.218{{.*}} )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %p2 = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<p_norm, p = 2.0>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %p2_w = moe.routing.weights %p2 : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%p2_w) : (tensor<2x3xf32>) -> ()
  // CHECK-NEXT: ( 0.957{{.*}}, 0.478{{.*}}, -0.239{{.*}} )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %p3 = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<p_norm, p = 3.0>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %p3_w = moe.routing.weights %p3 : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%p3_w) : (tensor<2x3xf32>) -> ()

  // Steps apply from the first to the last: 2.5 (v / 5), not 2.5 v / 12.5.
  // CHECK-NEXT: ( 2, 1, -0.5 )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %steps = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.normalize<sum>, #moe.scale<2.5>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %steps_w = moe.routing.weights %steps : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%steps_w) : (tensor<2x3xf32>) -> ()
  // CHECK-NEXT: ( 0.8, 0.4, -0.2 )
  // CHECK-NEXT: ( {{-?}}nan, {{-?}}nan, {{-?}}nan )
  %other = moe.router #moe.top_k<3> select(%s) weigh(%s)
      weighing [#moe.scale<2.5>, #moe.normalize<sum>]
      : tensor<2x4xf32> -> !moe.routing<4 x 3>
  %other_w = moe.routing.weights %other : !moe.routing<4 x 3> -> tensor<2x3xf32>
  func.call @print(%other_w) : (tensor<2x3xf32>) -> ()
  return
}
