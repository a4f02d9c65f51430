// The rest of a moek.route is long, so these are made from moe.
// RUN: moe-opt %s --convert-moe-to-moek --moek-fuse-router-scores --moek-join-routers --canonicalize --split-input-file --remarks-filter=moek-join-routers 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not="remark:" < %t.remarks

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
// Three routers of one input, one of them with a bias; one of another input stays.
// CHECK-LABEL: func @three(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x8xf32>, %[[V:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK: %[[W:.*]] = tensor.concat dim(0) %[[A:.*]], %[[B:.*]], %[[C:.*]] : (tensor<4x8xf32>, tensor<6x8xf32>, tensor<4x8xf32>) -> tensor<14x8xf32>
// CHECK: %[[P:.*]] = moek.pack %[[W]] : tensor<14x8xf32> -> tensor<1x1x14x8xf32>
// CHECK: %[[Z:.*]] = moek.grouped_matmul n(14) k(8) lhs(%[[X]] : tensor<?x8xf32>) rhs(%[[P]] : tensor<1x1x14x8xf32>) groups(%{{.*}}, %{{.*}} : tensor<2xi32>, tensor<2xi32>) phase("routers")
// CHECK: %[[Z1:.*]] = tensor.extract_slice %[[Z]][0, 0] [%{{.*}}, 4] [1, 1]
// CHECK: moek.route #moe.top_k<1> experts(4) rows(%[[Z1]] : tensor<?x4xf32>)
// CHECK: %[[Z2:.*]] = tensor.extract_slice %[[Z]][0, 4] [%{{.*}}, 6] [1, 1]
// CHECK: moek.route #moe.top_k<2> experts(6) rows(%[[Z2]] : tensor<?x6xf32>) vectors(%{{.*}} : tensor<6xf32>)
// CHECK: ^bb0(%[[L:.*]]: vector<6xf32>, %[[BIAS:.*]]: vector<6xf32>):
// CHECK: %[[S:.*]] = arith.addf %[[L]], %[[BIAS]]
// CHECK: moek.yield %[[S]], %[[L]]
// CHECK: %[[Z3:.*]] = tensor.extract_slice %[[Z]][0, 10] [%{{.*}}, 4] [1, 1]
// CHECK: moek.route #moe.top_k<1> experts(4) rows(%[[Z3]] : tensor<?x4xf32>)
// CHECK: moek.route #moe.top_k<1> experts(4) logits(%[[V]],
// REMARK: remark: [Passed] fused {{.*}}3 routers of one input are one product of 14 columns
func.func @three(%x: tensor<?x8xf32>, %v: tensor<?x8xf32>, %a: tensor<4x8xf32>, %b: tensor<6x8xf32>, %c: tensor<4x8xf32>, %bias: tensor<6xf32>)
    -> (tensor<?x1xi32>, tensor<?x2xi32>, tensor<?x1xi32>, tensor<?x1xi32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e4 = tensor.empty(%T) : tensor<?x4xf32>
  %e6 = tensor.empty(%T) : tensor<?x6xf32>
  %f4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %f6 = linalg.fill ins(%zero : f32) outs(%e6 : tensor<?x6xf32>) -> tensor<?x6xf32>
  %za = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %a : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %zb = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %b : tensor<?x8xf32>, tensor<6x8xf32>) outs(%f6 : tensor<?x6xf32>) -> tensor<?x6xf32>
  %s = linalg.generic {indexing_maps = [#id, #col, #id], iterator_types = ["parallel", "parallel"]} ins(%zb, %bias : tensor<?x6xf32>, tensor<6xf32>) outs(%e6 : tensor<?x6xf32>) {
  ^bb0(%l: f32, %w: f32, %o: f32):
    %q = arith.addf %l, %w : f32
    linalg.yield %q : f32
  } -> tensor<?x6xf32>
  %zc = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %c : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %zv = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%v, %a : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f4 : tensor<?x4xf32>) -> tensor<?x4xf32>
  %ra = moe.router #moe.top_k<1> select(%za) weigh(%za) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %rb = moe.router #moe.top_k<2> select(%s) weigh(%zb) : tensor<?x6xf32> -> !moe.routing<6 x 2>
  %rc = moe.router #moe.top_k<1> select(%zc) weigh(%zc) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %rv = moe.router #moe.top_k<1> select(%zv) weigh(%zv) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %ia = moe.routing.indices %ra : !moe.routing<4 x 1> -> tensor<?x1xi32>
  %ib = moe.routing.indices %rb : !moe.routing<6 x 2> -> tensor<?x2xi32>
  %ic = moe.routing.indices %rc : !moe.routing<4 x 1> -> tensor<?x1xi32>
  %iv = moe.routing.indices %rv : !moe.routing<4 x 1> -> tensor<?x1xi32>
  return %ia, %ib, %ic, %iv : tensor<?x1xi32>, tensor<?x2xi32>, tensor<?x1xi32>, tensor<?x1xi32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// A weight that is there too late.
// CHECK-LABEL: func @late(
// CHECK-COUNT-2: moek.route {{.*}} logits(
// REMARK: remark: [Missed] not-fused {{.*}}a router reads the input of another one again: its weight is made behind the first of them; {{.*}}that would save writing and reading 64 bytes a token
func.func @late(%x: tensor<?x8xf32>, %a: tensor<4x8xf32>, %b: tensor<8x8xf32>) -> (tensor<?x1xi32>, tensor<?x1xi32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%T) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %za = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %a : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  %ra = moe.router #moe.top_k<1> select(%za) weigh(%za) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %w = tensor.extract_slice %b[4, 0] [4, 8] [1, 1] : tensor<8x8xf32> to tensor<4x8xf32>
  %zb = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %w : tensor<?x8xf32>, tensor<4x8xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  %rb = moe.router #moe.top_k<1> select(%zb) weigh(%zb) : tensor<?x4xf32> -> !moe.routing<4 x 1>
  %ia = moe.routing.indices %ra : !moe.routing<4 x 1> -> tensor<?x1xi32>
  %ib = moe.routing.indices %rb : !moe.routing<4 x 1> -> tensor<?x1xi32>
  return %ia, %ib : tensor<?x1xi32>, tensor<?x1xi32>
}
