// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir --convert-moe-to-moek --canonicalize | FileCheck %t/ops.mlir

//--- ops.mlir

// A policy that sees all tokens makes the indices; values, counting and packing
// are the same for all of them.

// CHECK-LABEL: @capacity
// CHECK-SAME: (%[[P:.*]]: tensor<?x8xf32>)
func.func @capacity(%p: tensor<?x8xf32>) -> tensor<9xi32> {
  // CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
  // CHECK: %[[T:.*]] = tensor.dim %[[P]]
  // CHECK: %[[C:.*]] = arith.minui %[[T]], %[[C64]] : index
  // CHECK: %[[I:.*]] = moek.expert_choice capacity(%[[C]]) ins(%[[P]] : tensor<?x8xf32>)
  // CHECK: %[[V:.*]] = linalg.generic {{.*}} ins(%[[I]], %[[P]] : tensor<?x8xi32>, tensor<?x8xf32>)
  // CHECK-NOT: scf.for
  // CHECK: moek.index experts(8) traced ins(%[[I]], %[[V]] : tensor<?x8xi32>, tensor<?x8xf32>)
  %r = moe.router #moe.expert_choice<capacity = 64> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %o = moe.routing.offsets %r : !moe.routing<8 x 8> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

// The capacity follows from the number of tokens when the layer runs.
// CHECK-LABEL: @factor
func.func @factor(%p: tensor<?x8xf32>) -> tensor<9xi32> {
  // CHECK: %[[F:.*]] = arith.uitofp %{{.*}} : i64 to f64
  // CHECK: %[[M:.*]] = arith.mulf %[[F]], %{{.*}} : f64
  // CHECK: %[[D:.*]] = arith.divf %[[M]], %{{.*}} : f64
  // CHECK: %[[R:.*]] = math.roundeven %[[D]] : f64
  // CHECK: %[[L:.*]] = arith.maximumf %[[R]], %{{.*}} : f64
  // CHECK: arith.minimumf %[[L]], %[[F]] : f64
  // CHECK: moek.expert_choice
  %r = moe.router #moe.expert_choice<factor = 2.0> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %o = moe.routing.offsets %r : !moe.routing<8 x 8> -> tensor<9xi32>
  return %o : tensor<9xi32>
}

// Weighing knows which slots are used.
// CHECK-LABEL: @weighing
func.func @weighing(%p: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK: %[[I:.*]] = moek.expert_choice
  // CHECK: scf.for
  // CHECK: vector.transfer_read %{{.*}} : tensor<?x8xf32>, vector<8xf32>
  // CHECK: vector.transfer_read %[[I]]{{.*}} : tensor<?x8xi32>, vector<8xi32>
  // CHECK: arith.cmpi sge
  // CHECK: vector.reduction <add>
  // CHECK: vector.transfer_write
  %r = moe.router #moe.expert_choice<factor = 2.0> select(%p) weigh(%p)
      weighing [#moe.normalize<sum, eps = 0.0>] : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %w = moe.routing.weights %r : !moe.routing<8 x 8> -> tensor<?x8xf32>
  return %w : tensor<?x8xf32>
}

// A router is traced once, with what it chose itself, also if no list is read.
// CHECK-LABEL: @traced
func.func @traced(%p: tensor<?x8xf32>) -> tensor<10xi32> {
  // CHECK: moek.expert_choice
  // CHECK: moek.index experts(8) traced
  // CHECK: moek.limit
  // CHECK: moek.index experts(9) ins
  %r = moe.router #moe.expert_choice<capacity = 64> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 8>
  %l = moe.routing.limit %r capacity 2 : !moe.routing<8 x 8>
  %a = moe.routing.append %l : !moe.routing<8 x 8> -> !moe.routing<9 x 9>
  %o = moe.routing.offsets %a : !moe.routing<9 x 9> -> tensor<10xi32>
  return %o : tensor<10xi32>
}

// A kernel that knows the weights traces itself.
// CHECK-LABEL: @traced_by_kernel
func.func @traced_by_kernel(%p: tensor<?x8xf32>) -> tensor<9xi32> {
  // CHECK: moek.route
  // CHECK: moek.index
  // CHECK-NOT: traced
  // CHECK: return
  %r = moe.router #moe.sinkhorn<2, tolerance = 0.0, iterations = 3> select(%p) weigh(%p) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r factor 1.0 : !moe.routing<8 x 2>
  %o = moe.routing.offsets %l : !moe.routing<8 x 2> -> tensor<9xi32>
  return %o : tensor<9xi32>
}
