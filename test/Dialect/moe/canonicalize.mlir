// RUN: moe-opt %s --canonicalize | FileCheck %s
// RUN: moe-opt %s --cse | FileCheck %s --check-prefix=CSE
// RUN: moe-opt %s --resolve-shaped-type-result-dims --canonicalize \
// RUN:   | FileCheck %s --check-prefix=DIMS

//===----------------------------------------------------------------------===//
// Routers
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @scales
func.func @scales(%s: tensor<?x8xf32>)
    -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>, !moe.routing<8 x 2>,
        !moe.routing<8 x 2>) {
  // CHECK-NEXT: moe.router #moe.top_k<2> select(%{{.*}}) weigh(%{{.*}}) : tensor
  %0 = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.scale<1.0>]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  // CHECK-NEXT: weighing [#moe.sigmoid, #moe.scale<5.0>] :
  %1 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      weighing [#moe.sigmoid, #moe.scale<2.5>, #moe.scale<1.0>, #moe.scale<2.0>]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  // CHECK-NEXT: weighing [#moe.softmax] :
  %2 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      weighing [#moe.scale<0.5>, #moe.scale<2.0>, #moe.softmax]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  // Scales on both sides of a softmax are not neighbours.
  // CHECK-NEXT: weighing [#moe.scale<0.5>, #moe.softmax, #moe.scale<2.0>] :
  %3 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      weighing [#moe.scale<0.5>, #moe.softmax, #moe.scale<2.0>]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %0, %1, %2, %3 : !moe.routing<8 x 2>, !moe.routing<8 x 2>,
      !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

// The product of the two is infinite: they stay two.
// CHECK-LABEL: @huge_scales
func.func @huge_scales(%s: tensor<?x8xf64>) -> !moe.routing<8 x 2> {
  // CHECK: weighing [#moe.scale<1.0e+200>, #moe.scale<1.0e+200>]
  %0 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      weighing [#moe.scale<1.0e200>, #moe.scale<1.0e200>]
      : tensor<?x8xf64> -> !moe.routing<8 x 2>
  return %0 : !moe.routing<8 x 2>
}

// CHECK-LABEL: @identity_region
func.func @identity_region(%s: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  // CHECK-NEXT: moe.router {{.*}} -> !moe.routing<8 x 2>{{$}}
  // CHECK-NEXT: return
  %0 = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<?x8xf32> -> !moe.routing<8 x 2> weights {
  ^bb0(%v: vector<2xf32>):
    %dead = arith.addf %v, %v : vector<2xf32>
    moe.yield %v : vector<2xf32>
  }
  return %0 : !moe.routing<8 x 2>
}

// Constants stay inside of bodies.
// CHECK-LABEL: @constants_in_bodies
func.func @constants_in_bodies(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>,
                               %d: tensor<4x8xf32>) -> tensor<?x4xf32> {
  // CHECK-NEXT: moe.ffn
  // CHECK-NEXT: ^bb0
  // CHECK-NEXT: arith.constant 3.0
  %0 = moe.ffn %x up(%u) down(%d)
      : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>) -> tensor<?x4xf32>
      body {
  ^bb0(%v: f32):
    %one = arith.constant 1.0 : f32
    %two = arith.constant 2.0 : f32
    %three = arith.addf %one, %two : f32
    %h = arith.mulf %v, %three : f32
    moe.yield %h : f32
  }
  return %0 : tensor<?x4xf32>
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

// CHECK-LABEL: @unused_weights
// CHECK-SAME: %[[A:[a-z0-9]+]]: tensor<2x4xf32>, %[[B:[a-z0-9]+]]: tensor<2x4xf32>, %[[C:[a-z0-9]+]]: tensor<1x4xf32>)
func.func @unused_weights(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>,
                          %a: tensor<2x4xf32>, %b: tensor<2x4xf32>,
                          %c: tensor<1x4xf32>) -> tensor<?x4xf32> {
  // CHECK: experts 0 to 2 weights(%[[B]] : tensor<2x4xf32>) {
  // CHECK-NEXT: ^bb0(%[[T:.*]]: tensor<?x4xf32>, %[[V:.*]]: tensor<4xf32>):
  // CHECK-NEXT: linalg.add ins(%[[T]], %[[T]]
  // CHECK: } experts 2 to 3 {
  // CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x4xf32>):
  %0 = moe.expert %rows by %r
      : (tensor<?x4xf32>, !moe.routing<3 x 1>) -> tensor<?x4xf32>
  experts 0 to 2 weights(%a, %b : tensor<2x4xf32>, tensor<2x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %u: tensor<4xf32>, %v: tensor<4xf32>):
    %s = linalg.add ins(%t, %t : tensor<?x4xf32>, tensor<?x4xf32>)
        outs(%t : tensor<?x4xf32>) -> tensor<?x4xf32>
    %m = linalg.broadcast ins(%v : tensor<4xf32>) outs(%s : tensor<?x4xf32>)
        dimensions = [0]
    moe.yield %m : tensor<?x4xf32>
  } experts 2 to 3 weights(%c : tensor<1x4xf32>) {
  ^bb0(%t: tensor<?x4xf32>, %u: tensor<4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: @zero_init
func.func @zero_init(%rows: tensor<?x4xf32>, %r: !moe.routing<3 x 1>, %n: index)
    -> (tensor<?x4xf32>, tensor<2x4xf32>, tensor<?x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: moe.combine %{{.*}} by %{{.*}} : tensor<?x4xf32>
  %0 = moe.combine %rows by %r init(%f : tensor<?x4xf32>)
      : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x4xf32>
  %c = arith.constant dense<-0.0> : tensor<2x4xf32>
  // CHECK: moe.combine %{{.*}} by %{{.*}} unweighted : tensor<?x4xf32>
  %1 = moe.combine %rows by %r unweighted init(%c : tensor<2x4xf32>)
      : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<2x4xf32>
  %g = linalg.fill ins(%one : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: moe.combine %{{.*}} by %{{.*}} init(
  %2 = moe.combine %rows by %r init(%g : tensor<?x4xf32>)
      : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<?x4xf32>
  return %0, %1, %2 : tensor<?x4xf32>, tensor<2x4xf32>, tensor<?x4xf32>
}

// CHECK-LABEL: @no_tokens
func.func @no_tokens(%x: tensor<0x4xf32>, %r: !moe.routing<3 x 1>)
    -> (tensor<?x4xf32>, tensor<0x4xf32>) {
  // CHECK-NEXT: %[[E:.*]] = tensor.empty() : tensor<0x4xf32>
  // CHECK-NEXT: %[[ROWS:.*]] = tensor.cast %[[E]]
  // CHECK-NEXT: %[[Y:.*]] = tensor.empty() : tensor<0x4xf32>
  // CHECK-NEXT: return %[[ROWS]], %[[Y]]
  %rows = moe.dispatch %x by %r
      : tensor<0x4xf32>, !moe.routing<3 x 1> -> tensor<?x4xf32>
  %y = moe.combine %rows by %r
      : tensor<?x4xf32>, !moe.routing<3 x 1> -> tensor<0x4xf32>
  return %rows, %y : tensor<?x4xf32>, tensor<0x4xf32>
}

// CHECK-LABEL: @zero_biases
// CHECK-SAME: %[[B:[a-z0-9]+]]: tensor<8xf32>)
func.func @zero_biases(%x: tensor<?x4xf32>, %u: tensor<8x4xf32>,
                       %d: tensor<4x8xf32>, %b: tensor<8xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %z8 = arith.constant dense<0.0> : tensor<8xf32>
  %z4 = arith.constant dense<0.0> : tensor<4xf32>
  // CHECK: moe.ffn %{{.*}} gate(%{{.*}}) up(%{{.*}}) down(%{{.*}}) up_bias(%[[B]]) activation
  %0 = moe.ffn %x gate(%u) up(%u) down(%d) gate_bias(%z8) up_bias(%b)
      down_bias(%z4) activation(#moe.silu)
      : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>,
         tensor<8xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  // CHECK: moe.ffn %{{.*}} gate(%{{.*}}) up(%{{.*}}) down(%{{.*}}) activation
  %1 = moe.ffn %x gate(%u) up(%u) down(%d) gate_bias(%z8) up_bias(%z8)
      down_bias(%z4) activation(#moe.silu)
      : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>,
         tensor<8xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
}

//===----------------------------------------------------------------------===//
// Upstream passes
//===----------------------------------------------------------------------===//

// CSE-LABEL: @same_router_twice
func.func @same_router_twice(%s: tensor<?x8xf32>)
    -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  // CSE-COUNT-1: moe.router
  // CSE-NOT: moe.router
  %0 = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %1 = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.softmax]
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  // CSE: return
  return %0, %1 : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

// DIMS-LABEL: @sizes
// DIMS-SAME: (%[[S:.*]]: tensor<?x8xf32>, %[[X:.*]]: tensor<?x4xf32>)
func.func @sizes(%s: tensor<?x8xf32>, %x: tensor<?x4xf32>)
    -> (index, index, index, index, index) {
  // DIMS-DAG: %[[C0:.*]] = arith.constant 0 : index
  // DIMS-DAG: %[[C8:.*]] = arith.constant 8 : index
  // DIMS-DAG: %[[C4:.*]] = arith.constant 4 : index
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // DIMS: %[[R:.*]] = moe.router
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %out = moe.expert %rows by %r
      : (tensor<?x4xf32>, !moe.routing<8 x 2>) -> tensor<?x4xf32>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x4xf32>):
    moe.yield %t : tensor<?x4xf32>
  }
  %y = moe.combine %out by %r
      : tensor<?x4xf32>, !moe.routing<8 x 2> -> tensor<?x4xf32>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  // DIMS: %[[O:.*]] = moe.routing.offsets %[[R]]
  // DIMS: %[[LAST:.*]] = tensor.extract %[[O]][%[[C8]]]
  // DIMS: %[[A:.*]] = arith.index_cast %[[LAST]]
  %d0 = tensor.dim %out, %c0 : tensor<?x4xf32>
  %d1 = tensor.dim %out, %c1 : tensor<?x4xf32>
  // DIMS: %[[T:.*]] = tensor.dim %[[S]], %[[C0]]
  %d2 = tensor.dim %y, %c0 : tensor<?x4xf32>
  %d3 = tensor.dim %y, %c1 : tensor<?x4xf32>
  // DIMS: %[[T1:.*]] = tensor.dim %[[S]], %[[C0]]
  %d4 = tensor.dim %i, %c0 : tensor<?x2xi32>
  // DIMS: return %[[A]], %[[C4]], %[[T]], %[[C4]], %[[T1]]
  return %d0, %d1, %d2, %d3, %d4 : index, index, index, index, index
}
