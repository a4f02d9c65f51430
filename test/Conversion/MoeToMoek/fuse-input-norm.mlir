// RUN: moe-opt %s --moek-fuse-input-norm --split-input-file --remarks-filter=moek-fuse-input-norm 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not="remark:" < %t.remarks
// RUN: moe-opt %s --moek-fuse-input-norm=sums=true --split-input-file | FileCheck %s --check-prefix=WITH
// RUN: moe-opt %s --moek-fuse-input-norm --canonicalize --moek-fuse-input-norm --canonicalize --split-input-file -o %t.twice.mlir
// RUN: moe-opt %s --moek-fuse-input-norm --canonicalize --split-input-file | diff - %t.twice.mlir

#tc = affine_map<(t, c) -> (t, c)>
#t = affine_map<(t, c) -> (t)>
#c = affine_map<(t, c) -> (c)>
#one = affine_map<(t) -> (t)>
// A sum of two tensors, its squares, their mean as a value of each row, and scales: what
// is no sum is one kernel; the sum of both inputs has two readers.
// CHECK-LABEL: func @norm(
// CHECK-SAME: %[[A:[a-z0-9]+]]: tensor<?x8xf32>, %[[B:[a-z0-9]+]]: tensor<?x8xf32>, %[[S:[a-z0-9]+]]: tensor<8xf32>
// CHECK-SAME: %[[N:[a-z0-9]+]]: index
// CHECK: %[[X:.*]] = linalg.add
// CHECK: %[[SUMS:.*]] = linalg.generic
// CHECK: %[[COUNT:.*]] = arith.index_cast %[[N]] : index to i32
// CHECK: %[[ALL:.*]] = tensor.from_elements %{{.*}}, %[[COUNT]] : tensor<2xi32>
// CHECK: %[[SCALES:.*]] = tensor.expand_shape %[[S]]
// CHECK: %[[Y:.*]] = moek.row_map groups(%[[ALL]] : tensor<2xi32>) rows(%[[X]], %[[SUMS]] : tensor<?x8xf32>, tensor<?xf32>) parameters(%[[SCALES]] : tensor<1x8xf32>)
// CHECK: ^bb0(%[[V:.*]]: vector<8xf32>, %[[SUM:.*]]: f32, %[[W:.*]]: vector<8xf32>):
// CHECK: %[[MEAN:.*]] = arith.divf %[[SUM]], %{{.*}} : f32
// CHECK: %[[R:.*]] = math.rsqrt %[[MEAN]] : f32
// CHECK: %[[R8:.*]] = vector.broadcast %[[R]]
// CHECK: %[[P:.*]] = arith.mulf %[[V]], %[[R8]] : vector<8xf32>
// CHECK: %[[Q:.*]] = arith.mulf %[[P]], %[[W]] : vector<8xf32>
// CHECK: moek.yield %[[Q]]
// CHECK: moek.grouped_matmul n(16) k(8) lhs(%[[Y]]
// CHECK: return %{{.*}}, %[[X]]
// REMARK: remark: [Passed] fused {{.*}}the input of a layer is made by one kernel
// WITH-LABEL: func @norm(
// WITH: linalg.add
// WITH-NOT: linalg.generic
// WITH: moek.row_map groups({{.*}}) rows(%{{.*}} : tensor<?x8xf32>) parameters(
// WITH: vector.reduction <add>
func.func @norm(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %scales: tensor<8xf32>, %p: tensor<2x1x16x8xf32>, %o: tensor<3xi32>,
    %act: tensor<3xi32>, %i: tensor<?xi32>, %f: tensor<?x16xf32>, %n: index) -> (tensor<?x16xf32>, tensor<?x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %eight = arith.constant 8.0 : f32
  %e2 = tensor.empty(%n) : tensor<?x8xf32>
  %e1 = tensor.empty(%n) : tensor<?xf32>
  %x = linalg.add ins(%a, %b : tensor<?x8xf32>, tensor<?x8xf32>) outs(%e2 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %sums = linalg.generic {indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]} ins(%x : tensor<?x8xf32>) outs(%z : tensor<?xf32>) {
  ^bb0(%v: f32, %acc: f32):
    %s = arith.mulf %v, %v : f32
    %sum = arith.addf %acc, %s : f32
    linalg.yield %sum : f32
  } -> tensor<?xf32>
  %means = linalg.generic {indexing_maps = [#one, #one], iterator_types = ["parallel"]} ins(%sums : tensor<?xf32>) outs(%e1 : tensor<?xf32>) {
  ^bb0(%v: f32, %out: f32):
    %m = arith.divf %v, %eight : f32
    linalg.yield %m : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [#tc, #t, #c, #tc], iterator_types = ["parallel", "parallel"]}
      ins(%x, %means, %scales : tensor<?x8xf32>, tensor<?xf32>, tensor<8xf32>) outs(%e2 : tensor<?x8xf32>) {
  ^bb0(%v: f32, %mean: f32, %w: f32, %out: f32):
    %r = math.rsqrt %mean : f32
    %m = arith.mulf %v, %r : f32
    %q = arith.mulf %m, %w : f32
    linalg.yield %q : f32
  } -> tensor<?x8xf32>
  %h = moek.grouped_matmul n(16) k(8) lhs(%y : tensor<?x8xf32>) rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %act : tensor<3xi32>, tensor<3xi32>)
      gather(%i : tensor<?xi32>) outs(%f : tensor<?x16xf32>) epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  } -> tensor<?x16xf32>
  return %h, %x : tensor<?x16xf32>, tensor<?x8xf32>
}

// -----

// The number of a row, another row, and integers.
// CHECK-LABEL: func @not(
// CHECK-NOT: moek.row_map
// REMARK: remark: [Missed] not-fused {{.*}}the input of a layer is computed by ordinary IR: its body has a linalg.index, which is not elementwise; {{.*}}that would save writing and reading 64 bytes a token
// REMARK: remark: [Missed] not-fused {{.*}}: it reads operand 0 in another way than row by row
// REMARK: remark: [Missed] not-fused {{.*}}: it reads something else than floats of up to 32 bits
#tc = affine_map<(t, c) -> (t, c)>
#first = affine_map<(t, c) -> (0, c)>
func.func @not(%a: tensor<?x8xf32>, %b: tensor<?x8xi32>, %p: tensor<2x1x16x8xf32>, %o: tensor<3xi32>,
    %act: tensor<3xi32>, %i: tensor<?xi32>, %f: tensor<?x16xf32>, %n: index) -> (tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>) {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %x = linalg.generic {indexing_maps = [#tc, #tc], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%v: f32, %out: f32):
    %t = linalg.index 0 : index
    %ti = arith.index_cast %t : index to i32
    %tf = arith.sitofp %ti : i32 to f32
    %s = arith.addf %v, %tf : f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  %y = linalg.generic {indexing_maps = [#first, #tc], iterator_types = ["parallel", "parallel"]} ins(%a : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%v: f32, %out: f32):
    linalg.yield %v : f32
  } -> tensor<?x8xf32>
  %z = linalg.generic {indexing_maps = [#tc, #tc], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<?x8xi32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%v: i32, %out: f32):
    %s = arith.sitofp %v : i32 to f32
    linalg.yield %s : f32
  } -> tensor<?x8xf32>
  %h0 = moek.grouped_matmul n(16) k(8) lhs(%x : tensor<?x8xf32>) rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %act : tensor<3xi32>, tensor<3xi32>)
      gather(%i : tensor<?xi32>) outs(%f : tensor<?x16xf32>) epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  } -> tensor<?x16xf32>
  %h1 = moek.grouped_matmul n(16) k(8) lhs(%y : tensor<?x8xf32>) rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %act : tensor<3xi32>, tensor<3xi32>)
      gather(%i : tensor<?xi32>) outs(%f : tensor<?x16xf32>) epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  } -> tensor<?x16xf32>
  %h2 = moek.grouped_matmul n(16) k(8) lhs(%z : tensor<?x8xf32>) rhs(%p : tensor<2x1x16x8xf32>) groups(%o, %act : tensor<3xi32>, tensor<3xi32>)
      gather(%i : tensor<?xi32>) outs(%f : tensor<?x16xf32>) epilogue {
  ^bb0(%c: f32):
    moek.yield %c : f32
  } -> tensor<?x16xf32>
  return %h0, %h1, %h2 : tensor<?x16xf32>, tensor<?x16xf32>, tensor<?x16xf32>
}
