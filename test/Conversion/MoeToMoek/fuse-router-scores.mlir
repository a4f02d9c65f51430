// The rest of a moek.route is long, so these are made from moe.
// RUN: moe-opt %s --convert-moe-to-moek --moek-fuse-router-scores --canonicalize --split-input-file | FileCheck %s
// RUN: moe-opt %s --convert-moe-to-moek --moek-fuse-router-scores --split-input-file --remarks-filter=moek-fuse-router-scores -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
// DeepSeek-V3: the projection, a sigmoid and a bias for the selection. The
// sigmoid is computed once for both.
// CHECK-LABEL: func @deepseek(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x60xf32>, %[[WR:[a-z0-9]+]]: tensor<40x60xf32>, %[[B:[a-z0-9]+]]: tensor<40xf32>
// CHECK-NOT: linalg
// CHECK: %[[P:.*]] = moek.pack %[[WR]] : tensor<40x60xf32> -> tensor<1x1x40x60xf32>
// CHECK: moek.route #moe.top_k<2> experts(40) logits(%[[X]], %[[P]] : tensor<?x60xf32>, tensor<1x1x40x60xf32>) vectors(%[[B]] : tensor<40xf32>)
// CHECK: ^bb0(%[[Z:.*]]: vector<40xf32>, %[[BIAS:.*]]: vector<40xf32>):
// CHECK-NEXT: %[[ONE:.*]] = arith.constant dense<1.0{{.*}}> : vector<40xf32>
// CHECK-NEXT: %[[N:.*]] = arith.negf %[[Z]] : vector<40xf32>
// CHECK-NEXT: %[[E:.*]] = math.exp %[[N]] : vector<40xf32>
// CHECK-NEXT: %[[D:.*]] = arith.addf %[[E]], %[[ONE]] : vector<40xf32>
// CHECK-NEXT: %[[S:.*]] = arith.divf %[[ONE]], %[[D]] : vector<40xf32>
// CHECK-NEXT: %[[C:.*]] = arith.addf %[[S]], %[[BIAS]] : vector<40xf32>
// CHECK-NEXT: moek.yield %[[C]], %[[S]]
// REMARK: [Passed] fused{{.*}}3 operations on scores are part of the routing kernel
func.func @deepseek(%x: tensor<?x60xf32>, %wr: tensor<40x60xf32>, %b: tensor<40xf32>) -> tensor<?x2xi32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x60xf32>
  %e = tensor.empty(%T) : tensor<?x40xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x40xf32>) -> tensor<?x40xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x60xf32>, tensor<40x60xf32>) outs(%f : tensor<?x40xf32>) -> tensor<?x40xf32>
  %s = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%z : tensor<?x40xf32>) outs(%e : tensor<?x40xf32>) {
  ^bb0(%a: f32, %o: f32):
    %n = arith.negf %a : f32
    %ex = math.exp %n : f32
    %d = arith.addf %ex, %one : f32
    %r = arith.divf %one, %d : f32
    linalg.yield %r : f32
  } -> tensor<?x40xf32>
  %c = linalg.generic {indexing_maps = [#id, #col, #id], iterator_types = ["parallel", "parallel"]} ins(%s, %b : tensor<?x40xf32>, tensor<40xf32>) outs(%e : tensor<?x40xf32>) {
  ^bb0(%a: f32, %bb: f32, %o: f32):
    %r = arith.addf %a, %bb : f32
    linalg.yield %r : f32
  } -> tensor<?x40xf32>
  %r = moe.router #moe.top_k<2> select(%c) weigh(%s) : tensor<?x40xf32> -> !moe.routing<40 x 2>
  %i = moe.routing.indices %r : !moe.routing<40 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

// Softmax, named elementwise ops, a filled operand. What the function gets stays
// an operand, and is no miss.
// CHECK-LABEL: func @softmax(
// CHECK-SAME: %[[Z:[a-z0-9]+]]: tensor<?x8xf32>
// CHECK: moek.route #moe.top_k<2> experts(8) rows(%[[Z]] : tensor<?x8xf32>)
// CHECK: ^bb0(%[[V:.*]]: vector<8xf32>):
// CHECK: %[[HALF:.*]] = arith.constant dense<5.0{{.*}}e-01> : vector<8xf32>
// CHECK: %[[T:.*]] = arith.mulf %[[V]], %[[HALF]]
// CHECK: %[[MAX:.*]] = vector.reduction <maximumf>, %[[T]]
// CHECK: %[[MAXES:.*]] = vector.broadcast %[[MAX]]
// CHECK: %[[D:.*]] = arith.subf %[[T]], %[[MAXES]]
// CHECK: %[[E:.*]] = math.exp %[[D]]
// CHECK: vector.reduction <add>, %[[E]]
// CHECK: %[[S:.*]] = arith.divf %[[E]]
// CHECK: moek.yield %[[S]], %[[S]]
func.func @softmax(%z: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> tensor<?x2xi32> {
  %half = arith.constant 0.5 : f32
  %h = linalg.fill ins(%half : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = linalg.mul ins(%z, %h : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = linalg.softmax dimension(1) ins(%t : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// The function returns the logits: they are stored, the softmax still moves.
// CHECK-LABEL: func @returned(
// CHECK: %[[Z:.*]] = linalg.matmul
// CHECK: moek.route {{.*}} rows(%[[Z]] : tensor<?x8xf32>)
// CHECK: math.exp
// REMARK: [Missed] not-fused{{.*}}its result has other uses
// REMARK: [Passed] fused{{.*}}1 operations
func.func @returned(%x: tensor<?x64xf32>, %wr: tensor<8x64xf32>, %e: tensor<?x8xf32>) -> (tensor<?x2xi32>, tensor<?x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = linalg.softmax dimension(1) ins(%z : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i, %z : tensor<?x2xi32>, tensor<?x8xf32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func @bf16_router(
// CHECK: linalg.matmul
// CHECK: moek.route {{.*}} rows(
// REMARK: [Missed] not-fused{{.*}}the router's weights are bf16, and logits are computed from f32
func.func @bf16_router(%x: tensor<?x64xf32>, %wr: tensor<8x64xbf16>, %e: tensor<?x8xf32>) -> tensor<?x2xi32> {
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xbf16>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
// Logits that add to something, and weights that no file holds.
// CHECK-LABEL: func @start(
// CHECK: linalg.matmul
// CHECK: linalg.matmul
// REMARK: [Missed] not-fused{{.*}}it does not start from zeros
// REMARK: [Missed] not-fused{{.*}}its weight cannot be packed ahead of time: it is computed by 
func.func @start(%x: tensor<?x64xf32>, %wr: tensor<8x64xf32>, %e: tensor<?x8xf32>) -> (tensor<?x2xi32>, tensor<?x2xi32>) {
  %z = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %wr : tensor<?x64xf32>, tensor<8x64xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %w2 = arith.addf %wr, %wr : tensor<8x64xf32>
  %z2 = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%x, %w2 : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %r2 = moe.router #moe.top_k<2> select(%z2) weigh(%z2) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i2 = moe.routing.indices %r2 : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i, %i2 : tensor<?x2xi32>, tensor<?x2xi32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
// A value per token is the same for all of its experts.
// CHECK-LABEL: func @per_token(
// CHECK: moek.route {{.*}} rows(%arg0 : tensor<?x8xf32>) scalars(%arg1 : tensor<?xf32>)
// CHECK: ^bb0(%[[Z:.*]]: vector<8xf32>, %[[S:.*]]: f32):
// CHECK: %[[B:.*]] = vector.broadcast %[[S]] : f32 to vector<8xf32>
// CHECK: arith.mulf %[[Z]], %[[B]] : vector<8xf32>
func.func @per_token(%z: tensor<?x8xf32>, %t: tensor<?xf32>, %e: tensor<?x8xf32>) -> tensor<?x2xi32> {
  %c = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]} ins(%z, %t : tensor<?x8xf32>, tensor<?xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%c) weigh(%c) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// Scores of who knows how many experts.
// CHECK-LABEL: func @unknown_experts(
// CHECK: linalg.generic
// REMARK: [Missed] not-fused{{.*}}operand 1 is neither f32 of [tokens, experts], {{.*}} nor a constant
func.func @unknown_experts(%z: tensor<?x8xf32>, %t: tensor<?x?xf32>, %e: tensor<?x8xf32>) -> tensor<?x2xi32> {
  %c = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%z, %t : tensor<?x8xf32>, tensor<?x?xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.mulf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%c) weigh(%c) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// Cheap to compute twice: the sum is in the kernel and outside.
// CHECK-LABEL: func @cheap(
// CHECK: %[[C:.*]] = linalg.generic
// CHECK: moek.route {{.*}} rows(%arg0, %arg1 : tensor<?x8xf32>, tensor<?x8xf32>)
// CHECK: arith.addf
// CHECK: return %{{.*}}, %[[C]]
func.func @cheap(%z: tensor<?x8xf32>, %z2: tensor<?x8xf32>, %e: tensor<?x8xf32>) -> (tensor<?x2xi32>, tensor<?x8xf32>) {
  %c = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%z, %z2 : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %r = arith.addf %a, %b : f32
    linalg.yield %r : f32
  } -> tensor<?x8xf32>
  %r = moe.router #moe.top_k<2> select(%c) weigh(%c) : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %i = moe.routing.indices %r : !moe.routing<8 x 2> -> tensor<?x2xi32>
  return %i, %c : tensor<?x2xi32>, tensor<?x8xf32>
}

// -----

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
// Weights [hidden, experts], as JAX has them, are packed through a view.
// CHECK-LABEL: func @hidden_first(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x60xf32>, %[[WR:[a-z0-9]+]]: tensor<60x40xf32>
// CHECK: %[[VIEW:.*]] = linalg.transpose ins(%[[WR]] : tensor<60x40xf32>) outs(%{{.*}} : tensor<40x60xf32>) permutation = [1, 0]
// CHECK: %[[P:.*]] = moek.pack %[[VIEW]] : tensor<40x60xf32> -> tensor<1x1x40x60xf32>
// CHECK: moek.route #moe.top_k<2> experts(40) logits(%[[X]], %[[P]] : tensor<?x60xf32>, tensor<1x1x40x60xf32>)
// REMARK: [Passed] fused{{.*}}1 operations on scores are part of the routing kernel
func.func @hidden_first(%x: tensor<?x60xf32>, %wr: tensor<60x40xf32>) -> tensor<?x2xi32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x60xf32>
  %e = tensor.empty(%T) : tensor<?x40xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x40xf32>) -> tensor<?x40xf32>
  %z = linalg.contract indexing_maps = [#mk, #kn, #mn] ins(%x, %wr : tensor<?x60xf32>, tensor<60x40xf32>) outs(%f : tensor<?x40xf32>) -> tensor<?x40xf32>
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x40xf32> -> !moe.routing<40 x 2>
  %i = moe.routing.indices %r : !moe.routing<40 x 2> -> tensor<?x2xi32>
  return %i : tensor<?x2xi32>
}
