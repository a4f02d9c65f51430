// RUN: split-file %s %t
// RUN: moe-opt %t/ops.mlir | moe-opt | FileCheck %t/ops.mlir
// RUN: moe-opt %t/canonicalize.mlir --canonicalize | FileCheck %t/canonicalize.mlir
// RUN: moe-opt %t/invalid.mlir --split-input-file --verify-diagnostics

//--- ops.mlir

// CHECK-LABEL: @forms
func.func @forms(%r: !moe.routing<8 x 2>, %s: tensor<8xf32>, %h: tensor<8xbf16>) {
  // CHECK: moe.routing.reweigh %{{.*}} weighing [#moe.softmax] : !moe.routing<8 x 2>
  %0 = moe.routing.reweigh %r weighing [#moe.softmax] : !moe.routing<8 x 2>
  // CHECK: moe.routing.reweigh %{{.*}} scales(%{{.*}} : tensor<8xf32>) : !moe.routing<8 x 2>
  %1 = moe.routing.reweigh %r scales(%s : tensor<8xf32>) : !moe.routing<8 x 2>
  // CHECK: moe.routing.reweigh %{{.*}} scales(%{{.*}} : tensor<8xbf16>) weighing [#moe.softmax, #moe.scale<2.0>] : !moe.routing<8 x 2>
  %2 = moe.routing.reweigh %r scales(%h : tensor<8xbf16>) weighing [#moe.softmax, #moe.scale<2.0>] : !moe.routing<8 x 2>
  return
}

//--- canonicalize.mlir

#te = affine_map<(t, e) -> (t, e)>

// What asks nothing stays what it is.
// CHECK-LABEL: @nothing
func.func @nothing(%r: !moe.routing<8 x 2>) -> !moe.routing<8 x 2> {
  // CHECK-NEXT: return %arg0
  %0 = moe.routing.reweigh %r weighing [] : !moe.routing<8 x 2>
  return %0 : !moe.routing<8 x 2>
}

// CHECK-LABEL: @scales_alone
func.func @scales_alone(%r: !moe.routing<8 x 2>, %s: tensor<8xf32>) -> !moe.routing<8 x 2> {
  // CHECK-NEXT: moe.routing.reweigh %arg0 scales(%arg1
  %0 = moe.routing.reweigh %r scales(%s : tensor<8xf32>) weighing [] : !moe.routing<8 x 2>
  return %0 : !moe.routing<8 x 2>
}

// Written out: taken apart, a factor of each expert, put together.
// CHECK-LABEL: @written_out
func.func @written_out(%r: !moe.routing<8 x 2>, %s: tensor<8xf32>, %e: tensor<?x2xf32>)
    -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  // CHECK-NEXT: %[[A:.*]] = moe.routing.reweigh %arg0 scales(%arg1 : tensor<8xf32>) : !moe.routing<8 x 2>
  // CHECK-NEXT: %[[B:.*]] = moe.routing.reweigh %arg0 scales(%arg1 : tensor<8xf32>) : !moe.routing<8 x 2>
  // CHECK-NEXT: return %[[A]], %[[B]]
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %u = linalg.generic {indexing_maps = [#te, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>) outs(%e : tensor<?x2xf32>) {
  ^bb0(%x: i32, %v: f32, %o: f32):
    %j = arith.index_cast %x : i32 to index
    %f = tensor.extract %s[%j] : tensor<8xf32>
    %p = arith.mulf %v, %f : f32
    linalg.yield %p : f32
  } -> tensor<?x2xf32>
  %a = moe.routing.make %i, %u trusted : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %q = linalg.generic {indexing_maps = [#te, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%w, %i : tensor<?x2xf32>, tensor<?x2xi32>) outs(%e : tensor<?x2xf32>) {
  ^bb0(%v: f32, %x: i32, %o: f32):
    %j = arith.index_cast %x : i32 to index
    %f = tensor.extract %s[%j] : tensor<8xf32>
    %p = arith.mulf %f, %v : f32
    linalg.yield %p : f32
  } -> tensor<?x2xf32>
  %b = moe.routing.make %i, %q : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return %a, %b : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

// The weights of another routing, and a table that is not one an expert.
// CHECK-LABEL: @something_else
func.func @something_else(%r: !moe.routing<8 x 2>, %other: !moe.routing<8 x 2>, %s: tensor<8xf32>,
    %long: tensor<9xf32>, %e: tensor<?x2xf32>) -> (!moe.routing<8 x 2>, !moe.routing<8 x 2>) {
  // CHECK-NOT: reweigh
  // CHECK-COUNT-2: moe.routing.make
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %w = moe.routing.weights %other : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %u = linalg.generic {indexing_maps = [#te, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>) outs(%e : tensor<?x2xf32>) {
  ^bb0(%x: i32, %v: f32, %o: f32):
    %j = arith.index_cast %x : i32 to index
    %f = tensor.extract %s[%j] : tensor<8xf32>
    %p = arith.mulf %v, %f : f32
    linalg.yield %p : f32
  } -> tensor<?x2xf32>
  %a = moe.routing.make %i, %u : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %own = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %q = linalg.generic {indexing_maps = [#te, #te, #te], iterator_types = ["parallel", "parallel"]}
      ins(%i, %own : tensor<?x2xi32>, tensor<?x2xf32>) outs(%e : tensor<?x2xf32>) {
  ^bb0(%x: i32, %v: f32, %o: f32):
    %j = arith.index_cast %x : i32 to index
    %f = tensor.extract %long[%j] : tensor<9xf32>
    %p = arith.mulf %v, %f : f32
    linalg.yield %p : f32
  } -> tensor<?x2xf32>
  %b = moe.routing.make %i, %q : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  return %a, %b : !moe.routing<8 x 2>, !moe.routing<8 x 2>
}

//--- invalid.mlir

func.func @neither(%r: !moe.routing<8 x 2>) {
  // expected-error@+1 {{expects `scales`, a list `weighing` or both}}
  %0 = moe.routing.reweigh %r : !moe.routing<8 x 2>
  return
}

// -----

func.func @other_experts(%r: !moe.routing<8 x 2>, %s: tensor<9xf32>) {
  // expected-error@+1 {{expects scales of type 'tensor<8xf32>', one for each expert, but got 'tensor<9xf32>'}}
  %0 = moe.routing.reweigh %r scales(%s : tensor<9xf32>) : !moe.routing<8 x 2>
  return
}

// -----

func.func @dynamic(%r: !moe.routing<8 x 2>, %s: tensor<?xf32>) {
  // expected-error@+1 {{expects scales of type 'tensor<8xf32>', one for each expert, but got 'tensor<?xf32>'}}
  %0 = moe.routing.reweigh %r scales(%s : tensor<?xf32>) : !moe.routing<8 x 2>
  return
}

// -----

func.func @integers(%r: !moe.routing<8 x 2>, %s: tensor<8xi32>) {
  // expected-error@+1 {{must be 1D tensor of 32-bit float}}
  %0 = moe.routing.reweigh %r scales(%s : tensor<8xi32>) : !moe.routing<8 x 2>
  return
}
