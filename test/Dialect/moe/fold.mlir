// RUN: moe-opt %s --canonicalize --allow-unregistered-dialect | FileCheck %s

//===----------------------------------------------------------------------===//
// Taking a routing apart
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @views_of_make
// CHECK-SAME: (%[[IDX:.*]]: tensor<?x2xi32>, %[[W:.*]]: tensor<?x2xf32>)
func.func @views_of_make(%idx: tensor<?x2xi32>, %w: tensor<?x2xf32>)
    -> (tensor<?x2xi32>, tensor<?x2xf32>) {
  %r = moe.routing.make %idx, %w
      : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %v = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  // CHECK-NEXT: return %[[IDX]], %[[W]]
  return %i, %v : tensor<?x2xi32>, tensor<?x2xf32>
}

// The types differ: weights are rounded when read as f32.
// CHECK-LABEL: @views_of_make_other_type
func.func @views_of_make_other_type(%idx: tensor<?x2xi32>, %w: tensor<?x2xf64>)
    -> tensor<?x2xf32> {
  %r = moe.routing.make %idx, %w
      : tensor<?x2xi32>, tensor<?x2xf64> -> !moe.routing<8 x 2>
  // CHECK: moe.routing.weights
  %v = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %v : tensor<?x2xf32>
}

// CHECK-LABEL: @make_of_views
// CHECK-SAME: (%[[R:.*]]: !moe.routing<8 x 2>)
func.func @make_of_views(%r: !moe.routing<8 x 2>) -> !moe.routing<8 x 2> {
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %v = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %s = moe.routing.make %i, %v
      : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  // CHECK-NEXT: return %[[R]]
  return %s : !moe.routing<8 x 2>
}

// Made for more experts than it was taken from: another routing.
// CHECK-LABEL: @make_of_views_more_experts
func.func @make_of_views_more_experts(%r: !moe.routing<8 x 2>)
    -> !moe.routing<9 x 2> {
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %v = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  // CHECK: %[[S:.*]] = moe.routing.make
  %s = moe.routing.make %i, %v
      : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<9 x 2>
  // CHECK: return %[[S]]
  return %s : !moe.routing<9 x 2>
}

//===----------------------------------------------------------------------===//
// Number of tokens
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @num_tokens_static
func.func @num_tokens_static(%s: tensor<5x8xf32>) -> index {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<5x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r capacity 1 : !moe.routing<8 x 2>
  %a = moe.routing.append %l : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %n = moe.routing.num_tokens %a : !moe.routing<9 x 3>
  // CHECK-NEXT: %[[N:.*]] = arith.constant 5 : index
  // CHECK-NEXT: return %[[N]]
  return %n : index
}

// CHECK-LABEL: @num_tokens_dynamic
// CHECK-SAME: (%[[S:.*]]: tensor<?x8xf32>, %[[IDX:.*]]: tensor<?x2xi32>, %{{.*}}: tensor<?x2xf32>, %[[R:.*]]: !moe.routing<8 x 2>)
func.func @num_tokens_dynamic(%s: tensor<?x8xf32>, %idx: tensor<?x2xi32>,
                              %w: tensor<?x2xf32>, %r: !moe.routing<8 x 2>)
    -> (index, index, index) {
  %r0 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r0 capacity 4 : !moe.routing<8 x 2>
  %n0 = moe.routing.num_tokens %l : !moe.routing<8 x 2>
  %r1 = moe.routing.make %idx, %w
      : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %n1 = moe.routing.num_tokens %r1 : !moe.routing<8 x 2>
  %a = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %n2 = moe.routing.num_tokens %a : !moe.routing<9 x 3>
  // CHECK: %[[C0:.*]] = arith.constant 0 : index
  // CHECK: %[[N0:.*]] = tensor.dim %[[S]], %[[C0]]
  // CHECK: %[[N1:.*]] = tensor.dim %[[IDX]], %[[C0]]
  // CHECK: %[[N2:.*]] = moe.routing.num_tokens %[[R]] : !moe.routing<8 x 2>
  // CHECK: return %[[N0]], %[[N1]], %[[N2]]
  return %n0, %n1, %n2 : index, index, index
}

// CHECK-LABEL: @offsets_without_tokens
func.func @offsets_without_tokens(%s: tensor<0x8xf32>) -> tensor<9xi32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<0x8xf32> -> !moe.routing<8 x 2>
  // CHECK-NEXT: %[[O:.*]] = arith.constant dense<0> : tensor<9xi32>
  // CHECK-NEXT: return %[[O]]
  %o = moe.routing.offsets %r : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

//===----------------------------------------------------------------------===//
// Append and limit
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @append_nothing
// CHECK-SAME: (%[[R:.*]]: !moe.routing<8 x 2>)
func.func @append_nothing(%r: !moe.routing<8 x 2>) -> !moe.routing<8 x 2> {
  %a = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<8 x 2>
  // CHECK-NEXT: return %[[R]]
  return %a : !moe.routing<8 x 2>
}

// CHECK-LABEL: @append_twice
// CHECK-SAME: (%[[R:.*]]: !moe.routing<8 x 2>, %[[W:.*]]: tensor<?x1xf32>)
func.func @append_twice(%r: !moe.routing<8 x 2>, %w: tensor<?x1xf32>)
    -> (!moe.routing<11 x 5>, !moe.routing<10 x 4>) {
  // CHECK-NEXT: %[[A:.*]] = moe.routing.append %[[R]] : !moe.routing<8 x 2> -> !moe.routing<11 x 5>
  %a = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %b = moe.routing.append %a : !moe.routing<9 x 3> -> !moe.routing<11 x 5>
  // CHECK-NEXT: %[[C:.*]] = moe.routing.append %[[R]] weights(%[[W]]
  // CHECK-NEXT: %[[D:.*]] = moe.routing.append %[[C]] :
  %c = moe.routing.append %r weights(%w : tensor<?x1xf32>)
      : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %d = moe.routing.append %c : !moe.routing<9 x 3> -> !moe.routing<10 x 4>
  // CHECK-NEXT: return %[[A]], %[[D]]
  return %b, %d : !moe.routing<11 x 5>, !moe.routing<10 x 4>
}

// No expert gets more than one assignment of each of 5 tokens.
// CHECK-LABEL: @limit_that_never_drops
func.func @limit_that_never_drops(%s: tensor<5x8xf32>)
    -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  // CHECK-NEXT: %[[R:.*]] = moe.router
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<5x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.limit %r capacity 5 : !moe.routing<8 x 2>
  // CHECK-NEXT: %[[L:.*]] = moe.routing.limit %[[R]] capacity 4
  %b = moe.routing.limit %r capacity 4 : !moe.routing<8 x 2>
  // CHECK-NEXT: return %[[R]], %[[L]]
  return %a, %b : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

// The smaller of two limits stays.
// CHECK-LABEL: @limit_twice
// CHECK-SAME: (%[[R:.*]]: !moe.routing<8 x 2>)
func.func @limit_twice(%r: !moe.routing<8 x 2>)
    -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  // CHECK-NEXT: %[[A:.*]] = moe.routing.limit %[[R]] capacity 4
  %a = moe.routing.limit %r capacity 4 : !moe.routing<8 x 2>
  %b = moe.routing.limit %a capacity 7 : !moe.routing<8 x 2>
  // CHECK-NEXT: %[[C:.*]] = moe.routing.limit %[[R]] capacity 3
  %c = moe.routing.limit %a capacity 3 : !moe.routing<8 x 2>
  // CHECK-NEXT: return %[[A]], %[[C]]
  return %b, %c : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @identity_experts
// CHECK-SAME: (%[[ROWS:.*]]: tensor<?x4xf32>,
func.func @identity_experts(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>,
                            %w: tensor<2x4xf32>) -> tensor<?x4xf32> {
  %0 = moe.expert %rows by %r
      : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  } experts 1 to 3 weights(%w : tensor<2x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %v: tensor<4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  // CHECK-NEXT: return %[[ROWS]]
  return %0 : tensor<?x4xf32>
}

// Dead layers go: nothing here has an effect.
// CHECK-LABEL: @dead
func.func @dead(%s: tensor<?x8xf32>, %x: tensor<?x4xf32>) {
  // CHECK-NEXT: return
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %0 = moe.expert %rows by %r
      : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x4xf32>):
    %f = tensor.cast %t : tensor<?x4xf32> to tensor<?x?xf32>
    %g = tensor.cast %f : tensor<?x?xf32> to tensor<?x4xf32>
    moe.yield %g : tensor<?x4xf32>
  }
  %y = moe.combine %0 by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  return
}

func.func private @external(tensor<?x4xf32>) -> tensor<?x4xf32>

// An expert with a side effect stays, and so does what it needs.
// CHECK-LABEL: @dead_but_external
func.func @dead_but_external(%r: !moe.routing<8 x 2>, %x: tensor<?x4xf32>) {
  // CHECK: moe.dispatch
  // CHECK: moe.expert
  // CHECK: call @external
  // CHECK-NOT: moe.combine
  %rows = moe.dispatch %x by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %0 = moe.expert %rows by %r
      : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x4xf32>):
    %f = func.call @external(%t) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    moe.yield %f : tensor<?x4xf32>
  }
  %y = moe.combine %0 by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  return
}

// A module is a graph region, so a routing may be made from itself. Nonsense,
// but no reason to loop forever.
// CHECK: %[[LOOP:.*]] = moe.routing.limit %[[LOOP]] capacity 4
%loop = moe.routing.limit %loop capacity 4 : !moe.routing<8 x 2>
// CHECK: "test.use"(%{{.*}}, %[[LOOP]],
%self = moe.routing.append %self : !moe.routing<8 x 2> -> !moe.routing<8 x 2>
%tokens = moe.routing.num_tokens %loop : !moe.routing<8 x 2>
"test.use"(%tokens, %loop, %self)
    : (index, !moe.routing<8 x 2>, !moe.routing<8 x 2>) -> ()
