// RUN: moe-interpret %s --all --print | FileCheck %s

// Assignments are listed by expert, then token, then slot.
// CHECK: views result0: i32[3x2] [2, 0, -1, -1, 0, 2]
// CHECK-NEXT: views result1: f64[3x2] [0.75, 0.25, 0, 0, 1.5, -0.5]
// CHECK-NEXT: views result2: i32[4] [0, 2, 2, 4]
// CHECK-NEXT: views result3: i32[4] [0, 2, 0, 2]
// CHECK-NEXT: views result4: i64[] [3]
func.func @views() -> (tensor<?x2xi32>, tensor<?x2xf32>, tensor<4xi32>, tensor<?xi32>, index) {
  %r = call @example() : () -> !moe.routing<3 x 2>
  %0 = moe.routing.indices %r : !moe.routing<3 x 2> -> tensor<?x2xi32>
  %1 = moe.routing.weights %r : !moe.routing<3 x 2> -> tensor<?x2xf32>
  %2 = moe.routing.offsets %r : !moe.routing<3 x 2> -> tensor<4xi32>
  %3 = moe.routing.tokens %r : !moe.routing<3 x 2> -> tensor<?xi32>
  %4 = moe.routing.num_tokens %r : !moe.routing<3 x 2>
  return %0, %1, %2, %3, %4 : tensor<?x2xi32>, tensor<?x2xf32>, tensor<4xi32>, tensor<?xi32>, index
}

// Token 1 goes nowhere; the weight of its unused slots does not count.
func.func private @example() -> !moe.routing<3 x 2> {
  %i = arith.constant dense<[[2, 0], [-1, -1], [0, 2]]> : tensor<3x2xi32>
  %w = arith.constant dense<[[0.75, 0.25], [9.0, 9.0], [1.5, -0.5]]> : tensor<3x2xf32>
  %r = moe.routing.make %i, %w : tensor<3x2xi32>, tensor<3x2xf32> -> !moe.routing<3 x 2>
  return %r : !moe.routing<3 x 2>
}

// CHECK: append result0: i32[3x3] [2, 0, 3, -1, -1, 3, 0, 2, 3]
// CHECK-NEXT: append result1: f64[3x3] [0.75, 0.25, 1, 0, 0, 1, 1.5, -0.5, 1]
// CHECK-NEXT: append result2: f64[3x3] [0.75, 0.25, 0.5, 0, 0, 0.25, 1.5, -0.5, 0]
// CHECK-NEXT: append result3: i32[5] [0, 2, 2, 4, 7]
func.func @append() -> (tensor<?x3xi32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<5xi32>) {
  %r = call @example() : () -> !moe.routing<3 x 2>
  %a = moe.routing.append %r : !moe.routing<3 x 2> -> !moe.routing<4 x 3>
  %g = arith.constant dense<[[0.5], [0.25], [0.0]]> : tensor<3x1xf32>
  %b = moe.routing.append %r weights(%g : tensor<3x1xf32>) : !moe.routing<3 x 2> -> !moe.routing<4 x 3>
  %0 = moe.routing.indices %a : !moe.routing<4 x 3> -> tensor<?x3xi32>
  %1 = moe.routing.weights %a : !moe.routing<4 x 3> -> tensor<?x3xf32>
  %2 = moe.routing.weights %b : !moe.routing<4 x 3> -> tensor<?x3xf32>
  %3 = moe.routing.offsets %b : !moe.routing<4 x 3> -> tensor<5xi32>
  return %0, %1, %2, %3 : tensor<?x3xi32>, tensor<?x3xf32>, tensor<?x3xf32>, tensor<5xi32>
}

// First choices arrive before all second ones: expert 0 keeps token 2, its
// only first choice, and expert 2 keeps token 0.
// CHECK: limit result0: i32[3x2] [2, -1, -1, -1, 0, -1]
// CHECK-NEXT: limit result1: f64[3x2] [0.75, 0, 0, 0, 1.5, 0]
func.func @limit() -> (tensor<?x2xi32>, tensor<?x2xf32>) {
  %r = call @example() : () -> !moe.routing<3 x 2>
  %l = moe.routing.limit %r capacity 1 : !moe.routing<3 x 2>
  %0 = moe.routing.indices %l : !moe.routing<3 x 2> -> tensor<?x2xi32>
  %1 = moe.routing.weights %l : !moe.routing<3 x 2> -> tensor<?x2xf32>
  return %0, %1 : tensor<?x2xi32>, tensor<?x2xf32>
}

// CHECK: rows result0: f64[4x1] [1, 3, 1, 3]
// CHECK-NEXT: rows result1: f64[4x1] [0.25, 4.5, 0.75, -1.5]
// CHECK-NEXT: rows result2: f64[3x1] [1, 0, 3]
// CHECK-NEXT: rows result3: f64[3x1] [102, 200, 306]
func.func @rows() -> (tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>) {
  %r = call @example() : () -> !moe.routing<3 x 2>
  %x = arith.constant dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
  %xd = tensor.cast %x : tensor<3x1xf32> to tensor<?x1xf32>
  %0 = moe.dispatch %xd by %r : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  %1 = moe.dispatch %xd by %r weighted : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  %2 = moe.combine %0 by %r : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  %i = arith.constant dense<[[100.0], [200.0], [300.0]]> : tensor<3x1xf32>
  %id = tensor.cast %i : tensor<3x1xf32> to tensor<?x1xf32>
  %3 = moe.combine %0 by %r unweighted init(%id : tensor<?x1xf32>) : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  return %0, %1, %2, %3 : tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>, tensor<?x1xf32>
}

// Experts of different kinds: one written as linalg, one that is never run, one that
// multiplies by a weight of its own. Experts without rows are not evaluated:
// @never would fail.
// CHECK: kinds result0: f64[3x1] [-7.75, 0, 25.5]
func.func @kinds() -> tensor<?x1xf32> {
  %r = call @example() : () -> !moe.routing<3 x 2>
  %x = arith.constant dense<[[1.0], [2.0], [3.0]]> : tensor<3x1xf32>
  %xd = tensor.cast %x : tensor<3x1xf32> to tensor<?x1xf32>
  %rows = moe.dispatch %xd by %r : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  %ten = arith.constant dense<[[-11.0]]> : tensor<1x1xf32>
  %out = moe.expert %rows by %r : (tensor<?x1xf32>, !moe.routing<3 x 2>) -> tensor<?x1xf32>
  experts 0 to 1 {
  ^bb0(%t: tensor<?x1xf32>):
    %d = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%t : tensor<?x1xf32>) outs(%t : tensor<?x1xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.addf %a, %a : f32
      linalg.yield %s : f32
    } -> tensor<?x1xf32>
    moe.yield %d : tensor<?x1xf32>
  } experts 1 to 2 {
  ^bb0(%t: tensor<?x1xf32>):
    %n = func.call @never(%t) : (tensor<?x1xf32>) -> tensor<?x1xf32>
    moe.yield %n : tensor<?x1xf32>
  } experts 2 to 3 weights(%ten : tensor<1x1xf32>) {
  ^bb0(%t: tensor<?x1xf32>, %w: tensor<1xf32>):
    %c0 = arith.constant 0 : index
    %f = tensor.extract %w[%c0] : tensor<1xf32>
    %m = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%t : tensor<?x1xf32>) outs(%t : tensor<?x1xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.mulf %a, %f : f32
      linalg.yield %s : f32
    } -> tensor<?x1xf32>
    moe.yield %m : tensor<?x1xf32>
  }
  %y = moe.combine %out by %r : tensor<?x1xf32>, !moe.routing<3 x 2> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}
func.func private @never(tensor<?x1xf32>) -> tensor<?x1xf32>

// A region instead of a list of weighings.
// CHECK: region result0: i32[1x2] [2, 0]
// CHECK-NEXT: region result1: f64[1x2] [0.75, 0.25]
func.func @region() -> (tensor<1x2xi32>, tensor<1x2xf32>) {
  %s = arith.constant dense<[[0.25, 0.0, 0.75]]> : tensor<1x3xf32>
  %v = arith.constant dense<[[0.1875, 5.0, 0.5625]]> : tensor<1x3xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%v) : tensor<1x3xf32> -> !moe.routing<3 x 2> weights {
  ^bb0(%c: vector<2xf32>):
    %sum = vector.reduction <add>, %c : vector<2xf32> into f32
    %all = vector.broadcast %sum : f32 to vector<2xf32>
    %w = arith.divf %c, %all : vector<2xf32>
    moe.yield %w : vector<2xf32>
  }
  %0 = moe.routing.indices %r : !moe.routing<3 x 2> -> tensor<1x2xi32>
  %1 = moe.routing.weights %r : !moe.routing<3 x 2> -> tensor<1x2xf32>
  return %0, %1 : tensor<1x2xi32>, tensor<1x2xf32>
}
