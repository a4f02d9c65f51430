// RUN: moe-opt %s --moe-normalize-router-scores --canonicalize --split-input-file | FileCheck %s
// RUN: moe-opt %s --moe-normalize-router-scores --split-input-file --remarks-filter=moe-normalize-router-scores -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// Softmax, then divided by the sum of the chosen: softmax of the chosen. A row
// with NaN or infinity is NaN as a whole, once for both.
// CHECK-LABEL: func @qwen3(
// CHECK-SAME: %[[Z:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00
// CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000
// CHECK-DAG: %[[INF:.*]] = arith.constant 0x7F800000
// CHECK-NOT: linalg.softmax
// CHECK: %[[P:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]} ins(%[[Z]] :
// CHECK: ^bb0(%[[A:.*]]: f32, %[[SUM:.*]]: f32):
// CHECK: %[[IS:.*]] = arith.cmpf olt, %[[A]], %[[INF]]
// CHECK: %[[TERM:.*]] = arith.select %[[IS]], %[[ZERO]], %[[NAN]]
// CHECK: arith.addf %[[SUM]], %[[TERM]]
// CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%[[Z]], %[[P]] :
// CHECK: arith.addf
// CHECK-NOT: linalg.generic
// CHECK: moe.router #moe.top_k<2> select(%[[Y]]) weigh(%[[Y]]) weighing [#moe.softmax]
// REMARK: [Passed] normalized
func.func @qwen3(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

// The 1-norm of probabilities is their sum; steps after it stay.
// CHECK-LABEL: func @dbrx(
// CHECK: weighing [#moe.softmax, #moe.scale<2.5>]
func.func @dbrx(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.normalize<p_norm, p = 1.0>, #moe.scale<2.5>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

// Not normalised: selecting needs no softmax, weighing does.
// CHECK-LABEL: func @olmoe(
// CHECK-SAME: %[[Z:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK: %[[Y:.*]] = linalg.generic {{.*}} ins(%[[Z]], %{{.*}} :
// CHECK: %[[S:.*]] = linalg.softmax
// CHECK: moe.router #moe.top_k<2> select(%[[Y]]) weigh(%[[S]]) :
// REMARK: [Passed] normalized
// REMARK: [Missed] not-normalized{{.*}}the chosen probabilities are not divided by their sum
func.func @olmoe(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

// eps moves every weight: not the same.
// CHECK-LABEL: func @eps(
// CHECK: linalg.softmax
// CHECK: weighing [#moe.normalize<sum, eps = 0.01>]
func.func @eps(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.01>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// A sigmoid, found by its body, of the chosen only.
// CHECK-LABEL: func @sigmoid(
// CHECK-SAME: %[[Z:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK-NOT: linalg.generic
// CHECK: select(%[[Z]]) weigh(%[[Z]]) weighing [#moe.sigmoid, #moe.normalize<sum
func.func @sigmoid(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %one = arith.constant 1.0 : f32
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    %x = math.exp %n : f32
    %d = arith.addf %one, %x : f32
    %r = arith.divf %one, %d : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 1.0e-20>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// A softcap and a score nobody named, both increasing: the chain goes. Weights
// are not changed.
// CHECK-LABEL: func @chain(
// CHECK-SAME: %[[Z:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK: %[[CAP:.*]] = linalg.generic
// CHECK: %[[S:.*]] = linalg.generic
// CHECK: select(%[[Z]]) weigh(%[[S]])
func.func @chain(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %one = arith.constant 1.0 : f32
  %cap = arith.constant 30.0 : f32
  %c = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.divf %a, %cap : f32
    %x = math.tanh %n : f32
    %d = arith.mulf %x, %cap : f32
    linalg.yield %d : f32
  } -> tensor<?x8xf32>
  // sqrt(log(1 + exp(z))), DeepSeek-V4.
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%c : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %x = math.exp %a : f32
    %d = arith.addf %x, %one : f32
    %l = math.log %d : f32
    %q = math.sqrt %l : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// Decreasing, and neither: both stay.
// CHECK-LABEL: func @not_increasing(
// CHECK: %[[S:.*]] = linalg.generic
// CHECK: select(%[[S]])
// CHECK: %[[S2:.*]] = linalg.generic
// CHECK: select(%[[S2]])
func.func @not_increasing(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    linalg.yield %n : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %s2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.mulf %a, %a : f32
    linalg.yield %n : f32
  } -> tensor<?x8xf32>
  %r2 = moe.router #moe.top_k<2> select(%s2) weigh(%s2) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r, %r2 : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
// Ernie: a bias on the probabilities has its own order, and softmax is needed
// for it anyway.
// CHECK-LABEL: func @bias(
// CHECK: %[[S:.*]] = linalg.softmax
// CHECK: %[[C:.*]] = linalg.generic
// CHECK: select(%[[C]]) weigh(%[[S]]) weighing [#moe.normalize<sum
// REMARK: [Missed] not-normalized{{.*}}they are changed for each expert after the score function
func.func @bias(%z: tensor<?x8xf32>, %b: tensor<8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %c = linalg.generic {indexing_maps = [#id, #col, #id], iterator_types = ["parallel", "parallel"]} ins(%s, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %bb: f32, %o: f32):
    %n = arith.addf %a, %bb : f32
    linalg.yield %n : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%c) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// -----

// Sums of scores decide between groups: more than their order counts.
// CHECK-LABEL: func @groups(
// CHECK: %[[S:.*]] = linalg.softmax
// CHECK: select(%[[S]]) weigh(%[[S]])
// REMARK: [Missed] not-normalized{{.*}}the policy uses more than their order
func.func @groups(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> !moe.routing<8 x 2> {
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.group_top_k<2, groups = 4, keep = 2, reduce = top2> select(%s) weigh(%s) weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}
