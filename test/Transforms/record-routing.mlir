// RUN: moe-opt %s --moe-record-routing --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=RECORD
// RUN: moe-opt %s --moe-replay-routing --split-input-file | FileCheck %s --check-prefix=REPLAY
// RUN: moe-opt %s --moe-replay-routing=drop-arguments --split-input-file | FileCheck %s --check-prefix=DROP

// What a limit dropped is recorded as such; appended experts are not.
// RECORD-LABEL: @limited(
// RECORD-SAME: -> (tensor<?x64xf32> {{{.*}}moe.name = "y"},
// RECORD-SAME: tensor<?x1xi32> {moe.dims = ["T"], moe.name = "routing.indices"},
// RECORD-SAME: tensor<?x1xf32> {moe.dims = ["T"], moe.name = "routing.weights"},
// RECORD-SAME: tensor<8xi32> {moe.name = "routing.counts"})
// RECORD: %[[R:.*]] = moe.routing.limit
// RECORD: moe.routing.append %[[R]]
// RECORD: %[[O:.*]] = moe.routing.offsets %[[R]]
// RECORD-DAG: %[[END:.*]] = tensor.extract_slice %[[O]][1] [8] [1]
// RECORD-DAG: %[[BEGIN:.*]] = tensor.extract_slice %[[O]][0] [8] [1]
// RECORD: %[[N:.*]] = linalg.sub ins(%[[END]], %[[BEGIN]] :
// RECORD: %[[I:.*]] = moe.routing.indices %[[R]]
// RECORD: %[[W:.*]] = moe.routing.weights %[[R]]
// RECORD: return %{{.*}}, %[[I]], %[[W]], %[[N]]

// The router and what only it used are gone; arguments stay, or go when asked.
// REPLAY-LABEL: @limited(
// REPLAY-SAME: moe.name = "router.weight"
// REPLAY-SAME: %[[I:[^:]*]]: tensor<?x1xi32> {moe.dims = ["T"], moe.name = "routing.indices"},
// REPLAY-SAME: %[[W:[^:]*]]: tensor<?x1xf32> {moe.dims = ["T"], moe.name = "routing.weights"})
// REPLAY-NOT: linalg.
// REPLAY-NOT: moe.router
// REPLAY-NOT: limit
// REPLAY: %[[R:.*]] = moe.routing.make %[[I]], %[[W]] : tensor<?x1xi32>, tensor<?x1xf32> -> !moe.routing<8 x 1>
// REPLAY: moe.routing.append %[[R]]
// DROP-LABEL: @limited(
// DROP-NOT: router.weight
// DROP-SAME: moe.name = "never.used"
// DROP-SAME: moe.name = "routing.indices"
// DROP: return
func.func @limited(%x: tensor<?x64xf32> {moe.name = "x", moe.dims = ["T"]}, %wr: tensor<8x64xf32> {moe.name = "router.weight"}, %unused: tensor<4xf32> {moe.name = "never.used"}) -> (tensor<?x64xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m,n,k)->(m,k)>, affine_map<(m,n,k)->(n,k)>, affine_map<(m,n,k)->(m,n)>] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r0 = moe.router #moe.top_k<1> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 1>
  %r1 = moe.routing.limit %r0 capacity 2 : !moe.routing<8 x 1>
  %r = moe.routing.append %r1 : !moe.routing<8 x 1> -> !moe.routing<9 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<9 x 2> -> tensor<?x64xf32>
  %y = moe.combine %rows by %r : tensor<?x64xf32>, !moe.routing<9 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A function without a router stays as it is.
// RECORD-LABEL: @dense(
// RECORD-SAME: -> tensor<4xf32>
func.func @dense(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// Two routers, one of f64 and a static number of tokens; the routing before the
// limit is read, so that it is the one recorded, and limited again in a replay.
// RECORD-LABEL: @two(
// RECORD-SAME: tensor<?x2xi32> {moe.dims = ["N"], moe.name = "routing.indices.0"}
// RECORD-SAME: tensor<8xi32> {moe.name = "routing.counts.0"}
// RECORD-SAME: tensor<5x1xi32> {moe.name = "routing.indices.1"}
// RECORD-SAME: tensor<5x1xf64> {moe.name = "routing.weights.1"}
// RECORD-SAME: tensor<4xi32> {moe.name = "routing.counts.1"}
// REPLAY-LABEL: @two(
// REPLAY-SAME: %[[I:[^:]*]]: tensor<?x2xi32> {moe.dims = ["N"], moe.name = "routing.indices.0"}
// REPLAY-SAME: moe.name = "routing.weights.1"
// REPLAY: %[[R:.*]] = moe.routing.make %[[I]]
// REPLAY: moe.routing.limit %[[R]]
// REPLAY: moe.routing.indices %[[R]]
// REPLAY: moe.routing.make {{.*}} tensor<5x1xi32>, tensor<5x1xf64> -> !moe.routing<4 x 1>
func.func @two(%s: tensor<?x8xf32> {moe.name = "s", moe.dims = ["N"]}, %t: tensor<5x4xf64> {moe.name = "t"}) -> (tensor<?x2xi32> {moe.name = "i", moe.dims = ["N"]}, tensor<9xi32>, tensor<5x1xf64>) {
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %l = moe.routing.limit %r capacity 2 : !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %o = moe.routing.offsets %l : !moe.routing<8 x 2> -> tensor<9xi32>
  %q = moe.router #moe.top_k<1> select(%t) weigh(%t) : tensor<5x4xf64> -> !moe.routing<4 x 1>
  %w = moe.routing.weights %q : !moe.routing<4 x 1> -> tensor<5x1xf64>
  return %i, %o, %w : tensor<?x2xi32>, tensor<9xi32>, tensor<5x1xf64>
}
