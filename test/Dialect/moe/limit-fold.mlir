// RUN: moe-opt %s --canonicalize | FileCheck %s

// No expert has more arrivals than a group has tokens.
// CHECK-LABEL: @room_for_all
func.func @room_for_all(%i: tensor<16x2xi32>, %w: tensor<16x2xf32>, %p: tensor<16xf32>) -> (!moe.routing<4 x 2>, !moe.routing<4 x 2>, !moe.routing<4 x 2>) {
  // CHECK: %[[R:.*]] = moe.routing.make
  // CHECK-NOT: moe.routing.limit
  // CHECK: return %[[R]], %[[R]], %[[R]]
  %r = moe.routing.make %i, %w : tensor<16x2xi32>, tensor<16x2xf32> -> !moe.routing<4 x 2>
  // 16 = 16 * 2 * 2.0 / 4.
  %0 = moe.routing.limit %r factor 2.0 : !moe.routing<4 x 2>
  %1 = moe.routing.limit %r capacity 16 by probability : !moe.routing<4 x 2>
  %2 = moe.routing.limit %r capacity 5 group_size 5 by batch_priority (%p : tensor<16xf32>) : !moe.routing<4 x 2>
  return %0, %1, %2 : !moe.routing<4 x 2>, !moe.routing<4 x 2>, !moe.routing<4 x 2>
}

// CHECK-LABEL: @stays
func.func @stays(%r: !moe.routing<4 x 2>, %i: tensor<16x2xi32>, %w: tensor<16x2xf32>) -> (!moe.routing<4 x 2>, !moe.routing<4 x 2>, !moe.routing<4 x 2>) {
  // 15 of 16.
  // CHECK: moe.routing.limit %{{.*}} factor 1.800000e+00
  %s = moe.routing.make %i, %w : tensor<16x2xi32>, tensor<16x2xf32> -> !moe.routing<4 x 2>
  %0 = moe.routing.limit %s factor 1.8 : !moe.routing<4 x 2>
  // The last group may be shorter, and its capacity with it.
  // CHECK: moe.routing.limit %{{.*}} factor 2.000000e+00 group_size 3
  %1 = moe.routing.limit %r factor 2.0 group_size 3 : !moe.routing<4 x 2>
  // Two limits by weight are not one.
  // CHECK: moe.routing.limit %{{.*}} capacity 3 by probability
  // CHECK: moe.routing.limit %{{.*}} capacity 2 :
  %2 = moe.routing.limit %r capacity 3 by probability : !moe.routing<4 x 2>
  %3 = moe.routing.limit %2 capacity 2 : !moe.routing<4 x 2>
  return %0, %1, %3 : !moe.routing<4 x 2>, !moe.routing<4 x 2>, !moe.routing<4 x 2>
}
