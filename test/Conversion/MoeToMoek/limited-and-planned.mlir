// Capacities, plans, hashes and similarities: what is a kernel of its own, what
// the routing kernel does.

// RUN: moe-opt %s --moe-fusion-pipeline | FileCheck %s

// A plain capacity of a router is part of its kernel.
// CHECK-LABEL: @plain
func.func @plain(%z: tensor<?x8xf32>) -> tensor<?x2xi32> {
  // CHECK: moek.route #moe.top_k<2> experts(8) {{.*}}capacity(64)
  // CHECK-NOT: moek.limit
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r capacity 64 : !moe.routing<8 x 2>
  %i = moe.routing.indices %l : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// CHECK-LABEL: @factor
func.func @factor(%z: tensor<?x8xf32>, %p: tensor<?xf32>) -> tensor<?x2xi32> {
  // CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route
  // CHECK: %[[LI:.*]], %[[LW:.*]] = moek.limit experts(8) drop({{ ?}}batch_priority) factor(1.250000e+00) rounding({{ ?}}nearest) minimum(4) group_size(16) ins(%indices, %weights :
  // CHECK: return %[[LI]]
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r factor 1.25 rounding nearest minimum 4 group_size 16 by batch_priority (%p : tensor<?xf32>) : !moe.routing<8 x 2>
  %i = moe.routing.indices %l : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// CHECK-LABEL: @reweigh
func.func @reweigh(%z: tensor<?x8xf32>) -> tensor<?x2xf32> {
  // CHECK: %[[LI:.*]], %[[LW:.*]] = moek.limit
  // CHECK: scf.for
  // CHECK: vector.transfer_read %[[LI]]
  // CHECK: arith.cmpi sge
  // CHECK: vector.transfer_read %[[LW]]
  // CHECK: arith.select
  // CHECK: vector.transfer_write
  %r = moe.router #moe.gshard<second = all> select(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r factor 1.0 : !moe.routing<8 x 2>
  %a = moe.routing.reweigh %l weighing [#moe.normalize<clamp, min = 1.0e-7>] : !moe.routing<8 x 2>
  %w = moe.routing.weights %a : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %w : tensor<?x2xf32>
}

// CHECK-LABEL: @sinkhorn
func.func @sinkhorn(%z: tensor<?x8xf32>) -> tensor<?x2xi32> {
  // CHECK: %[[P:.*]] = moek.sinkhorn iterations(1000) tolerance(1.000000e-04) ins(%arg0
  // CHECK: moek.route #moe.top_k<2> experts(8) rows(%[[P]], %arg0 :
  %r = moe.router #moe.sinkhorn<2, tolerance = 1.0e-4, iterations = 1000> select(%z) weigh(%z) weighing [#moe.sigmoid] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// CHECK-LABEL: @hash
func.func @hash(%ids: tensor<?xi32>, %table: tensor<99x2xi32>) -> tensor<?x2xi32> {
  // CHECK: moe_rt.check %{{.*}}, bad_value, "a token id is not in the table of the hash router"
  // CHECK: moe_rt.check %{{.*}}, bad_value, "the hash router's table sends a token
  // CHECK: moek.route #moe.hash<table, 2> experts(8) using(%arg0, %arg1 : tensor<?xi32>, tensor<99x2xi32>)
  %r = moe.router #moe.hash<table, 2> using(%ids, %table : tensor<?xi32>, tensor<99x2xi32>) : !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// Cosines are logits, scaled by a number for each token and one for each expert.
// CHECK-LABEL: @cosine
func.func @cosine(%x: tensor<?x24xf32>, %c: tensor<8x24xf32>) -> tensor<?x2xi32> {
  // CHECK: moek.route #moe.nearest_centroid<2> experts(8) logits(%arg0, %{{.*}}) vectors(%{{.*}} : tensor<8xf32>) scalars(%{{.*}} : tensor<?xf32>)
  %s = moe.similarity %x, %c metric(cosine) : tensor<?x24xf32>, tensor<8x24xf32> -> tensor<?x8xf32>
  %r = moe.router #moe.nearest_centroid<2> select(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}
