// RUN: moe-opt %s --moek-fuse-combine --split-input-file | FileCheck %s
// RUN: moe-opt %s --moek-fuse-combine --split-input-file --remarks-filter=moek-fuse-combine -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// The epilogue stays: it runs before the weighted sum.
// CHECK-LABEL: func @fused(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<?x2xf32>, %[[INIT:[a-z0-9]+]]: tensor<?x64xf32>
// CHECK: %offsets, %active, %tokens, %positions, %row_weights = moek.index
// CHECK: %[[Y:.*]] = moek.grouped_matmul n(64) k(32) {{.*}} parameters({{.*}} combine(%positions : tensor<?x2xi32>) slot_weights(%[[W]] : tensor<?x2xf32>) init(%[[INIT]] : tensor<?x64xf32>) outs(%
// CHECK: math.tanh
// CHECK-NOT: moek.combine
// CHECK: return %[[Y]]
// REMARK: [Passed] fused
func.func @fused(%i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %init: tensor<?x64xf32>, %h: tensor<?x32xf32>, %p: tensor<8x1x64x32xf32>, %b: tensor<8x64xf32>, %T: index, %A: index) -> tensor<?x64xf32> {
  %e0 = tensor.empty() : tensor<9xi32>
  %e1 = tensor.empty(%A) : tensor<?xi32>
  %e2 = tensor.empty(%T) : tensor<?x2xi32>
  %e3 = tensor.empty(%A) : tensor<?xf32>
  %r:5 = moek.index experts(8) ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>) outs(%e0, %e0, %e1, %e2, %e3 : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>) -> tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
  %e = tensor.empty(%A) : tensor<?x64xf32>
  %o = moek.grouped_matmul n(64) k(32) lhs(%h : tensor<?x32xf32>) rhs(%p : tensor<8x1x64x32xf32>) groups(%r#0, %r#1 : tensor<9xi32>, tensor<9xi32>) parameters(%b : tensor<8x64xf32>) outs(%e : tensor<?x64xf32>) epilogue {
  ^bb0(%v: f32, %c: f32):
    %s = arith.addf %v, %c : f32
    %t = math.tanh %s : f32
    moek.yield %t : f32
  } -> tensor<?x64xf32>
  %f = tensor.empty(%T) : tensor<?x64xf32>
  %y = moek.combine ins(%o, %r#3 : tensor<?x64xf32>, tensor<?x2xi32>) slot_weights(%w : tensor<?x2xf32>) init(%init : tensor<?x64xf32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Positions from elsewhere may point to rows that the matmul does not make.
// CHECK-LABEL: func @foreign_positions(
// CHECK: moek.combine
// REMARK: [Missed] not-fused{{.*}}the matmul's groups and the positions are not of one routing
func.func @foreign_positions(%o: tensor<9xi32>, %a: tensor<9xi32>, %pos: tensor<?x2xi32>, %h: tensor<?x32xf32>, %p: tensor<8x1x64x32xf32>, %T: index, %A: index) -> tensor<?x64xf32> {
  %e = tensor.empty(%A) : tensor<?x64xf32>
  %m = moek.grouped_matmul n(64) k(32) lhs(%h : tensor<?x32xf32>) rhs(%p : tensor<8x1x64x32xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x64xf32>
  %f = tensor.empty(%T) : tensor<?x64xf32>
  %y = moek.combine ins(%m, %pos : tensor<?x64xf32>, tensor<?x2xi32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @other_use(
// CHECK: moek.combine
// REMARK: [Missed] not-fused{{.*}}its rows have another use
func.func @other_use(%i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %h: tensor<?x32xf32>, %p: tensor<8x1x64x32xf32>, %T: index, %A: index) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %e0 = tensor.empty() : tensor<9xi32>
  %e1 = tensor.empty(%A) : tensor<?xi32>
  %e2 = tensor.empty(%T) : tensor<?x2xi32>
  %e3 = tensor.empty(%A) : tensor<?xf32>
  %r:5 = moek.index experts(8) ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>) outs(%e0, %e0, %e1, %e2, %e3 : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>) -> tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
  %e = tensor.empty(%A) : tensor<?x64xf32>
  %o = moek.grouped_matmul n(64) k(32) lhs(%h : tensor<?x32xf32>) rhs(%p : tensor<8x1x64x32xf32>) groups(%r#0, %r#1 : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x64xf32>
  %f = tensor.empty(%T) : tensor<?x64xf32>
  %y = moek.combine ins(%o, %r#3 : tensor<?x64xf32>, tensor<?x2xi32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y, %o : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @no_matmul(
// CHECK: moek.combine
// REMARK: [Missed] not-fused{{.*}}its rows are not the result of a grouped matmul
func.func @no_matmul(%rows: tensor<?x64xf32>, %pos: tensor<?x2xi32>, %f: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = moek.combine ins(%rows, %pos : tensor<?x64xf32>, tensor<?x2xi32>) outs(%f : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
