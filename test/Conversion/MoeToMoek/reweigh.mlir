// RUN: moe-opt %s --split-input-file --convert-moe-to-moek | FileCheck %s

// Directly behind a router the kernel weighs by expert, whatever follows.

// CHECK-LABEL: @in_kernel
func.func @in_kernel(%z: tensor<?x8xf32>, %s: tensor<8xf32>) -> tensor<?x2xf32> {
  // CHECK-NOT: scf.for
  // CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route #moe.top_k<2> experts(8) rows(%arg0 : tensor<?x8xf32>) per_expert(%arg1 : tensor<8xf32>) outs
  // CHECK: weigh {
  // CHECK-NEXT: ^bb0(%[[V:.*]]: vector<2xf32>, %[[F:.*]]: vector<2xf32>):
  // CHECK-NEXT: %[[P:.*]] = arith.mulf %[[V]], %[[F]] : vector<2xf32>
  // CHECK-NEXT: moek.yield %[[P]]
  // CHECK-NOT: moek.
  // CHECK: return %weights
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
  %w = moe.routing.weights %a : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %w : tensor<?x2xf32>
}

// -----

// CHECK-LABEL: @twice_then_steps
func.func @twice_then_steps(%z: tensor<?x8xf32>, %s: tensor<8xf32>, %h: tensor<8xbf16>) -> tensor<?x2xf32> {
  // CHECK: %[[H:.*]] = linalg.generic {{.*}} ins(%arg2
  // CHECK: moek.route {{.*}} per_expert(%arg1, %[[H]] : tensor<8xf32>, tensor<8xf32>) always(1) outs
  // CHECK: ^bb0(%[[V:.*]]: vector<2xf32>, %[[A:.*]]: vector<2xf32>, %[[B:.*]]: vector<2xf32>):
  // CHECK-NEXT: %[[P:.*]] = arith.mulf %[[V]], %[[A]]
  // CHECK-NEXT: %[[Q:.*]] = arith.mulf %[[P]], %[[B]]
  // CHECK: moek.yield
  // CHECK-NOT: moek.index
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
  %b = moe.routing.reweigh %a scales(%h : tensor<8xbf16>) weighing [#moe.sigmoid] : !moe.routing<8 x 2>
  %c = moe.routing.append %b : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %w = moe.routing.weights %c : !moe.routing<9 x 3> -> tensor<?x3xf32>
  %n = tensor.extract_slice %w[0, 0] [3, 2] [1, 1] : tensor<?x3xf32> to tensor<3x2xf32>
  %d = tensor.cast %n : tensor<3x2xf32> to tensor<?x2xf32>
  return %d : tensor<?x2xf32>
}

// -----

// CHECK-LABEL: @then_limit
func.func @then_limit(%z: tensor<?x8xf32>, %s: tensor<8xf32>) -> tensor<?x2xf32> {
  // CHECK: moek.route {{.*}} per_expert(%arg1 : tensor<8xf32>) capacity(4) outs
  // CHECK-NOT: moek.limit
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
  %b = moe.routing.limit %a capacity 4 : !moe.routing<8 x 2>
  %w = moe.routing.weights %b : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %w : tensor<?x2xf32>
}

// -----

// A mask: slots may be unused, and the lists have room for what packing writes
// beyond them.
// CHECK-LABEL: @mask
func.func @mask(%z: tensor<?x8xf32>, %s: tensor<8xf32>) -> tensor<?x8xf32> {
  // CHECK: arith.constant 64 : index
  // CHECK: moek.route #moe.threshold<{{.*}}> {{.*}} per_expert(%arg1
  // CHECK: ^bb0(%[[V:.*]]: vector<8xf32>, %{{.*}}: vector<8xi1>, %[[F:.*]]: vector<8xf32>):
  // CHECK-NEXT: arith.mulf %[[V]], %[[F]]
  %r = moe.router #moe.threshold<0.5, min_k = 1> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %a = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 8>
  %w = moe.routing.weights %a : !moe.routing<8 x 8> -> tensor<?x8xf32>
  return %w : tensor<?x8xf32>
}

// -----

// Who reads the weights as the router made them keeps the kernel as it is; so
// does a limit in between, whose steps are about what was kept.
// CHECK-LABEL: @read_before
func.func @read_before(%z: tensor<?x8xf32>, %s: tensor<8xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
  // CHECK: %indices, %weights, %offsets, %active, %tokens, %positions, %row_weights = moek.route
  // CHECK-NOT: per_expert
  // CHECK: scf.for
  // CHECK: %[[E:.*]] = tensor.extract %indices
  // CHECK: tensor.extract %arg1
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %a = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
  // Not the kernel's weights any more.
  // CHECK: moek.index
  // CHECK: moek.limit
  %l = moe.routing.limit %a capacity 4 : !moe.routing<8 x 2>
  %u = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %w = moe.routing.weights %l : !moe.routing<8 x 2> -> tensor<?x2xf32>
  return %u, %w : tensor<?x2xf32>, tensor<?x2xf32>
}
