// RUN: moe-opt %s --moek-carry-tensors | FileCheck %s

// Sizes follow from where tensors are made, also by way of another argument of
// the same named size.
// CHECK-LABEL: func.func @named
// CHECK: iter_args(%[[GOT:.*]] = %arg0)
// CHECK: %[[NEW:.*]] = linalg.exp
// CHECK: %[[COPY:.*]] = linalg.copy ins(%[[NEW]] : {{.*}}) outs(%[[GOT]] :
// CHECK: scf.yield %[[COPY]]
func.func @named(%x: tensor<?xf32> {moe.dims = ["T"]}, %y: tensor<?xf32> {moe.dims = ["T"]}, %n: index) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %T = tensor.dim %y, %c0 : tensor<?xf32>
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> tensor<?xf32> {
    %e = tensor.empty(%T) : tensor<?xf32>
    %b = linalg.exp ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    scf.yield %b : tensor<?xf32>
  }
  return %r : tensor<?xf32>
}

// Nothing says that both are as large, or that a tensor does not grow.
// CHECK-LABEL: func.func @unknown
// CHECK-NOT: linalg.copy
// CHECK: return
func.func @unknown(%x: tensor<?xf32>, %y: tensor<?xf32>, %n: index) -> (tensor<?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %T = tensor.dim %y, %c0 : tensor<?xf32>
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x, %b = %x) -> (tensor<?xf32>, tensor<?xf32>) {
    %e = tensor.empty(%T) : tensor<?xf32>
    %c = linalg.exp ins(%a : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = tensor.dim %b, %c0 : tensor<?xf32>
    %l = arith.addi %s, %c1 : index
    %d = tensor.empty(%l) : tensor<?xf32>
    scf.yield %c, %d : tensor<?xf32>, tensor<?xf32>
  }
  return %r#0, %r#1 : tensor<?xf32>, tensor<?xf32>
}

// What stays but changes its place is copied before something takes it.
// CHECK-LABEL: func.func @order
// CHECK: iter_args(%[[U:.*]] = %arg0, %[[V:.*]] = %arg0)
// CHECK: %[[NEW:.*]] = linalg.exp
// CHECK: %[[FIRST:.*]] = linalg.copy ins(%[[V]] : {{.*}}) outs(%[[U]] :
// CHECK: %[[SECOND:.*]] = linalg.copy ins(%[[NEW]] : {{.*}}) outs(%[[V]] :
// CHECK: scf.yield %[[FIRST]], %[[SECOND]]
func.func @order(%x: tensor<8xf32>, %n: index) -> (tensor<8xf32>, tensor<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%u = %x, %v = %x) -> (tensor<8xf32>, tensor<8xf32>) {
    %e = tensor.empty() : tensor<8xf32>
    %s = linalg.exp ins(%u : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    scf.yield %v, %s : tensor<8xf32>, tensor<8xf32>
  }
  return %r#0, %r#1 : tensor<8xf32>, tensor<8xf32>
}

// Tensors that only change places need no copy.
// CHECK-LABEL: func.func @swap
// CHECK-NOT: linalg.copy
// CHECK: return
func.func @swap(%x: tensor<8xf32>, %y: tensor<8xf32>, %n: index) -> tensor<8xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%u = %x, %v = %y) -> (tensor<8xf32>, tensor<8xf32>) {
    scf.yield %v, %u : tensor<8xf32>, tensor<8xf32>
  }
  return %r#0 : tensor<8xf32>
}

// The first region of a while passes on what it got.
// CHECK-LABEL: func.func @until
// CHECK: scf.while (%[[U:.*]] = %arg0)
// CHECK: scf.condition(%{{.*}}) %[[U]], %
// CHECK: ^bb0(%[[PLACE:.*]]: tensor<8xf32>, %[[V:.*]]: tensor<8xf32>):
// CHECK: linalg.copy ins(%[[V]] : {{.*}}) outs(%[[PLACE]] :
func.func @until(%x: tensor<8xf32>, %k: i1) -> tensor<8xf32> {
  %r = scf.while (%u = %x) : (tensor<8xf32>) -> tensor<8xf32> {
    %e = tensor.empty() : tensor<8xf32>
    %v = linalg.exp ins(%u : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    scf.condition(%k) %v : tensor<8xf32>
  } do {
  ^bb0(%v: tensor<8xf32>):
    scf.yield %v : tensor<8xf32>
  }
  return %r : tensor<8xf32>
}
