// RUN: moe-opt %s --moe-check-routings --split-input-file --verify-diagnostics | FileCheck %s

// Verified before anything else, then trusted. Named sizes are the same.
// CHECK-LABEL: @replayed(
// CHECK-SAME: %{{.*}}: tensor<?x32xf32> {{{.*}}}, %[[I:.*]]: tensor<?x2xi32>
// CHECK-NEXT: %[[OK:.*]] = moek.verify_routing %[[I]] experts(4) : tensor<?x2xi32>
// CHECK-NEXT: moe_rt.check %[[OK]], bad_routing, "argument 'routing.indices' sends a token to an expert outside of [-1, 4), or twice to one"
// CHECK-NOT: moek.
// CHECK: moe.routing.make %[[I]], %{{.*}} trusted
// CHECK-NOT: moek.
func.func @replayed(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %w: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]}) -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  %y = moe.combine %rows by %r init(%e : tensor<?x32xf32>) : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// What a router makes has the rows of its scores: nothing to check. Nor has a
// routing made of another one's indices, or of trusted ones.
// CHECK-LABEL: @router(
// CHECK-NOT: moek.
// CHECK: return
func.func @router(%x: tensor<?x32xf32>, %wr: tensor<8x32xf32>, %given: tensor<?x2xi32> {moe.name = "i"}) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>] ins(%x, %wr : tensor<?x32xf32>, tensor<8x32xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %r2 = moe.routing.append %r : !moe.routing<8 x 2> -> !moe.routing<9 x 3>
  %rows = moe.dispatch %x by %r2 : tensor<?x32xf32>, !moe.routing<9 x 3> -> tensor<?x32xf32>
  %y = moe.combine %rows by %r2 : tensor<?x32xf32>, !moe.routing<9 x 3> -> tensor<?x32xf32>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %c = tensor.collapse_shape %i [[0, 1]] : tensor<?x2xi32> into tensor<?xi32>
  %w = moe.routing.weights %r : !moe.routing<8 x 2> -> tensor<?x2xf32>
  %w2 = linalg.add ins(%w, %w : tensor<?x2xf32>, tensor<?x2xf32>) outs(%w : tensor<?x2xf32>) -> tensor<?x2xf32>
  %r3 = moe.routing.make %i, %w2 : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows3 = moe.dispatch %x by %r3 : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %y, %rows3 : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Sizes of other names are compared when the function runs.
// CHECK-LABEL: @sizes(
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x32xf32>
// CHECK: %[[N:.*]] = moe.routing.num_tokens
// CHECK: %[[D:.*]] = tensor.dim %[[X]]
// CHECK: %[[SAME:.*]] = arith.cmpi eq, %[[N]], %[[D]]
// CHECK: moe_rt.check %[[SAME]], bad_size, "the input of a layer must have one row for each token of the routing"
// CHECK: moe.dispatch
func.func @sizes(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]}, %s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["S"]}) -> tensor<?x32xf32> {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %rows : tensor<?x32xf32>
}

// -----

func.func @threads(%i: tensor<4x4x2xi32>, %w: tensor<4x2xf32>, %x: tensor<4x32xf32>, %o: tensor<4x32xf32>) -> tensor<4x32xf32> {
  %r = scf.forall (%t) in (4) shared_outs(%acc = %o) -> tensor<4x32xf32> {
    %j = tensor.extract_slice %i[%t, 0, 0] [1, 4, 2] [1, 1, 1] : tensor<4x4x2xi32> to tensor<4x2xi32>
    // expected-error@+1 {{needs a check at run time (a routing sends a token to an expert outside of [-1, 8), or twice to one), which 'scf.forall' around it does not allow; make the routing outside of it, or mark it `trusted`}}
    %r = moe.routing.make %j, %w : tensor<4x2xi32>, tensor<4x2xf32> -> !moe.routing<8 x 2>
    %rows = moe.dispatch %x by %r : tensor<4x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
    %y = moe.combine %rows by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<4x32xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %y into %acc[0, 0] [4, 32] [1, 1] : tensor<4x32xf32> into tensor<4x32xf32>
    }
  }
  return %r : tensor<4x32xf32>
}

// -----

func.func @no_dimension(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]}, %z: tensor<?x4xf32>) -> tensor<?x32xf32> {
  %c-1 = arith.constant -1 : index
  // expected-error@+1 {{'tensor.dim' op asks for a dimension that there is not}}
  %n = tensor.dim %x, %c-1 : tensor<?x32xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %e by %r : tensor<?x32xf32>, !moe.routing<4 x 2> -> tensor<?x32xf32>
  return %rows : tensor<?x32xf32>
}
