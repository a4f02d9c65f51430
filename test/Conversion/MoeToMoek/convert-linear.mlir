// RUN: moe-opt %s --convert-linear-to-moek --canonicalize --cse --split-input-file --remarks-filter=convert-linear-to-moek 2>%t.remarks | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --implicit-check-not="remark:" < %t.remarks

// Exporters' form: a batch in front, the weight [in, out].
// CHECK-LABEL: func @batch_of_one(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<1x?x64xf32>, %[[W:[a-z0-9]+]]: tensor<64x32xf32>
// CHECK-DAG: %[[T:.*]] = linalg.transpose ins(%[[W]] : {{.*}} permutation = [1, 0]
// CHECK-DAG: %[[ROWS:.*]] = tensor.collapse_shape %[[X]] {{\[\[}}0, 1], [2]] : tensor<1x?x64xf32> into tensor<?x64xf32>
// CHECK-DAG: %[[P:.*]] = moek.pack %[[T]] : tensor<32x64xf32> -> tensor<1x1x32x64xf32>
// CHECK: %[[Y:.*]] = moek.grouped_matmul n(32) k(64) lhs(%[[ROWS]] : tensor<?x64xf32>) rhs(%[[P]] : tensor<1x1x32x64xf32>)
// CHECK-SAME: phase("linear")
// CHECK: tensor.expand_shape %[[Y]] {{\[\[}}0, 1], [2]]
// REMARK: remark: [Passed] fused {{.*}}a product with a weight is a packed kernel
func.func @batch_of_one(%x: tensor<1x?x64xf32>, %w: tensor<64x32xf32>) -> tensor<1x?x32xf32> {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c1 : tensor<1x?x64xf32>
  %e = tensor.empty(%n) : tensor<1x?x32xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  %y = linalg.contract
      indexing_maps = [affine_map<(b, s, n, k) -> (b, s, k)>, affine_map<(b, s, n, k) -> (k, n)>, affine_map<(b, s, n, k) -> (b, s, n)>]
      ins(%x, %w : tensor<1x?x64xf32>, tensor<64x32xf32>) outs(%z : tensor<1x?x32xf32>) -> tensor<1x?x32xf32>
  return %y : tensor<1x?x32xf32>
}

// -----

// The weight repeated for each batch, as torch-mlir writes it.
// CHECK-LABEL: func @repeated(
// CHECK-NOT: linalg.batch_matmul
// CHECK: tensor.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>
// CHECK: moek.grouped_matmul n(32) k(64)
// CHECK-NOT: linalg.batch_matmul
// REMARK: remark: [Passed] fused
func.func @repeated(%x: tensor<?x?x64xf32>, %w: tensor<64x32xf32>) -> tensor<?x?x32xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %ew = tensor.empty(%b) : tensor<?x64x32xf32>
  %many = linalg.generic
      {indexing_maps = [affine_map<(b, k, n) -> (k, n)>, affine_map<(b, k, n) -> (b, k, n)>], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%w : tensor<64x32xf32>) outs(%ew : tensor<?x64x32xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<?x64x32xf32>
  %e = tensor.empty(%b, %n) : tensor<?x?x32xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
  %y = linalg.batch_matmul ins(%x, %many : tensor<?x?x64xf32>, tensor<?x64x32xf32>) outs(%z : tensor<?x?x32xf32>) -> tensor<?x?x32xf32>
  return %y : tensor<?x?x32xf32>
}

// -----

// The weight in front, several dimensions of columns and of depth, and a result
// that ends in the rows.
// CHECK-LABEL: func @heads(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<4x16x2x32xf32>, %[[X:[a-z0-9]+]]: tensor<2x?x32xf32>
// CHECK-DAG: %[[C:.*]] = tensor.collapse_shape %[[W]] {{\[\[}}0, 1], [2, 3]] : tensor<4x16x2x32xf32> into tensor<64x64xf32>
// CHECK-DAG: %[[XT:.*]] = linalg.transpose ins(%[[X]] : {{.*}} permutation = [1, 0, 2]
// CHECK-DAG: %[[ROWS:.*]] = tensor.collapse_shape %[[XT]] {{\[\[}}0], [1, 2]] : tensor<?x2x32xf32> into tensor<?x64xf32>
// CHECK-DAG: moek.pack %[[C]]
// CHECK: %[[Y:.*]] = moek.grouped_matmul n(64) k(64) lhs(%[[ROWS]]
// CHECK: %[[E:.*]] = tensor.expand_shape %[[Y]] {{\[\[}}0], [1, 2]] {{.*}} into tensor<?x4x16xf32>
// CHECK: linalg.transpose ins(%[[E]] : {{.*}} permutation = [1, 2, 0]
// REMARK: remark: [Passed] fused
func.func @heads(%w: tensor<4x16x2x32xf32>, %x: tensor<2x?x32xf32>) -> tensor<4x16x?xf32> {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c1 : tensor<2x?x32xf32>
  %e = tensor.empty(%n) : tensor<4x16x?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16x?xf32>) -> tensor<4x16x?xf32>
  %y = linalg.generic
      {indexing_maps = [affine_map<(a, c, s, i, k) -> (a, c, i, k)>, affine_map<(a, c, s, i, k) -> (i, s, k)>, affine_map<(a, c, s, i, k) -> (a, c, s)>],
       iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%w, %x : tensor<4x16x2x32xf32>, tensor<2x?x32xf32>) outs(%z : tensor<4x16x?xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<4x16x?xf32>
  return %y : tensor<4x16x?xf32>
}

// -----

// A vector is one row; what the result starts from is added.
// CHECK-LABEL: func @vector(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<64xf32>, %[[W:[a-z0-9]+]]: tensor<64x32xf32>, %[[I:[a-z0-9]+]]: tensor<32xf32>
// CHECK: %[[A:.*]] = math.absf %[[X]]
// CHECK: tensor.expand_shape %[[A]] {{\[\[}}0, 1]] output_shape [1, 64]
// CHECK: moek.grouped_matmul n(32) k(64)
// CHECK: linalg.add ins(%{{.*}}, %[[I]] :
// REMARK: remark: [Passed] fused
func.func @vector(%given: tensor<64xf32>, %w: tensor<64x32xf32>, %init: tensor<32xf32>) -> tensor<32xf32> {
  %x = math.absf %given : tensor<64xf32>
  %y = linalg.vecmat ins(%x, %w : tensor<64xf32>, tensor<64x32xf32>) outs(%init : tensor<32xf32>) -> tensor<32xf32>
  return %y : tensor<32xf32>
}

// -----

// bf16 is summed in f32 and rounded once.
// CHECK-LABEL: func @bf16(
// CHECK: arith.extf
// CHECK: moek.grouped_matmul n(32) k(64) lhs(%{{.*}} : tensor<?x64xf32>) rhs(%{{.*}} : tensor<1x1x32x64xbf16>)
// CHECK: arith.truncf
// REMARK: remark: [Passed] fused
func.func @bf16(%x: tensor<?x64xbf16>, %w: tensor<64x32xbf16>, %init: tensor<?x32xbf16>) -> tensor<?x32xbf16> {
  %zero = arith.constant 0.0 : bf16
  %z = linalg.fill ins(%zero : bf16) outs(%init : tensor<?x32xbf16>) -> tensor<?x32xbf16>
  %y = linalg.matmul ins(%x, %w : tensor<?x64xbf16>, tensor<64x32xbf16>) outs(%z : tensor<?x32xbf16>) -> tensor<?x32xbf16>
  return %y : tensor<?x32xbf16>
}

// -----

// What stays: a computed weight, one of few columns, one of many batches, f32 rows
// of a bf16 weight, f64, and a body that does more than multiply and add.
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
// CHECK-LABEL: func @stay(
// CHECK-NOT: moek
// CHECK: return
func.func @stay(%x: tensor<?x64xf32>, %w: tensor<64x32xf32>, %few: tensor<64x8xf32>, %each: tensor<2x64x32xf32>,
    %xs: tensor<2x?x64xf32>, %narrow: tensor<64x32xbf16>, %x64: tensor<?x64xf64>, %w64: tensor<64x32xf64>,
    %e: tensor<?x32xf32>, %e8: tensor<?x8xf32>, %es: tensor<2x?x32xf32>, %e64: tensor<?x32xf64>)
    -> (tensor<?x32xf32>, tensor<?x8xf32>, tensor<2x?x32xf32>, tensor<?x32xf32>, tensor<?x32xf64>, tensor<?x32xf32>) {
  %computed = math.exp %w : tensor<64x32xf32>
  %0 = linalg.matmul ins(%x, %computed : tensor<?x64xf32>, tensor<64x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %1 = linalg.matmul ins(%x, %few : tensor<?x64xf32>, tensor<64x8xf32>) outs(%e8 : tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = linalg.batch_matmul ins(%xs, %each : tensor<2x?x64xf32>, tensor<2x64x32xf32>) outs(%es : tensor<2x?x32xf32>) -> tensor<2x?x32xf32>
  %3 = linalg.matmul ins(%x, %narrow : tensor<?x64xf32>, tensor<64x32xbf16>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %4 = linalg.matmul ins(%x64, %w64 : tensor<?x64xf64>, tensor<64x32xf64>) outs(%e64 : tensor<?x32xf64>) -> tensor<?x32xf64>
  %5 = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<?x64xf32>, tensor<64x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %m = arith.negf %p : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  return %0, %1, %2, %3, %4, %5 : tensor<?x32xf32>, tensor<?x8xf32>, tensor<2x?x32xf32>, tensor<?x32xf32>, tensor<?x32xf64>, tensor<?x32xf32>
}

// -----

// Nobody says which of the two is the weight.
// CHECK-LABEL: func @either(
// CHECK-NOT: moek
// CHECK: linalg.matmul
// REMARK: remark: [Missed] not-fused {{.*}}both of its operands are arguments with static shapes
func.func @either(%x: tensor<32x64xf32>, %w: tensor<64x32xf32>, %e: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %y = linalg.matmul ins(%x, %w : tensor<32x64xf32>, tensor<64x32xf32>) outs(%e : tensor<32x32xf32>) -> tensor<32x32xf32>
  return %y : tensor<32x32xf32>
}

// -----

// Keys and values that are arguments of one head are no weights.
#q = affine_map<(t, l, d) -> (t, d)>
#k = affine_map<(t, l, d) -> (l, d)>
#s = affine_map<(t, l, d) -> (t, l)>
#v = affine_map<(t, d, l) -> (l, d)>
#p = affine_map<(t, d, l) -> (t, l)>
#o = affine_map<(t, d, l) -> (t, d)>
// CHECK-LABEL: func @cache(
// CHECK-NOT: moek
// CHECK: linalg.contract
// CHECK: linalg.softmax
// CHECK: linalg.contract
// CHECK: return
func.func @cache(%q: tensor<?x32xf32>, %k: tensor<64x32xf32>, %v: tensor<64x32xf32>) -> tensor<?x32xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %q, %c0 : tensor<?x32xf32>
  %es = tensor.empty(%T) : tensor<?x64xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<?x64xf32>) -> tensor<?x64xf32>
  %s = linalg.contract indexing_maps = [#q, #k, #s] ins(%q, %k : tensor<?x32xf32>, tensor<64x32xf32>) outs(%zs : tensor<?x64xf32>) -> tensor<?x64xf32>
  %e = linalg.exp ins(%s : tensor<?x64xf32>) outs(%es : tensor<?x64xf32>) -> tensor<?x64xf32>
  %w = linalg.softmax dimension(1) ins(%e : tensor<?x64xf32>) outs(%es : tensor<?x64xf32>) -> tensor<?x64xf32>
  %eo = tensor.empty(%T) : tensor<?x32xf32>
  %zo = linalg.fill ins(%zero : f32) outs(%eo : tensor<?x32xf32>) -> tensor<?x32xf32>
  %o = linalg.contract indexing_maps = [#p, #v, #o] ins(%w, %v : tensor<?x64xf32>, tensor<64x32xf32>) outs(%zo : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %o : tensor<?x32xf32>
}

// On memrefs there is nothing to convert.
// CHECK-LABEL: func.func @on_memrefs(
// CHECK: linalg.matmul
func.func @on_memrefs(%x: memref<8x32xf32>, %w: memref<32x32xf32>, %y: memref<8x32xf32>) {
  linalg.matmul ins(%x, %w : memref<8x32xf32>, memref<32x32xf32>) outs(%y : memref<8x32xf32>)
  return
}
