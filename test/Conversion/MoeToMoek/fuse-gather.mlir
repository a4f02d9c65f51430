// RUN: moe-opt %s --moek-fuse-gather --split-input-file | FileCheck %s
// RUN: moe-opt %s --moek-fuse-gather --split-input-file --remarks-filter=moek-fuse-gather -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// Gate and up read the rows: both gather.
// CHECK-LABEL: func @two(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>
// CHECK-NOT: moek.gather
// CHECK: moek.grouped_matmul {{.*}} lhs(%[[X]] : {{.*}} gather(%[[TOKENS:[a-z0-9]+]] : tensor<?xi32>) gather_weights(%[[W:[a-z0-9]+]] : tensor<?xf32>)
// CHECK: moek.grouped_matmul {{.*}} lhs(%[[X]] : {{.*}} gather(%[[TOKENS]] : tensor<?xi32>) gather_weights(%[[W]] : tensor<?xf32>)
// REMARK: [Passed] fused
func.func @two(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>, %w: tensor<?xf32>, %n: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %rows = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) row_weights(%w : tensor<?xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %c0 = arith.constant 0 : index
  // The size of the rows is that of their destination.
  %d = tensor.dim %rows, %c0 : tensor<?x64xf32>
  %h = tensor.empty(%d) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%h : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%h : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  return %g, %u : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Rows that leave the function have to be stored.
// CHECK-LABEL: func @returned(
// CHECK: moek.gather
// REMARK: [Missed] not-fused{{.*}}its rows are read by func.return, not only by moek.grouped_matmul and moek.row_map
func.func @returned(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>, %n: index) -> (tensor<?x32xf32>, tensor<?x64xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %rows = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = tensor.empty(%n) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%h : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  return %g, %rows : tensor<?x32xf32>, tensor<?x64xf32>
}

// -----

// Groups of another routing may have rows that were never gathered.
// CHECK-LABEL: func @other_groups(
// CHECK: moek.gather
// REMARK: [Missed] not-fused{{.*}}has other groups
func.func @other_groups(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %o2: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %rows = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = tensor.empty(%n) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o2, %a : tensor<9xi32>, tensor<9xi32>) outs(%h : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  return %g : tensor<?x32xf32>
}

// -----

// A part of the same groups has no other rows.
// CHECK-LABEL: func @part(
// CHECK-NOT: moek.gather
// CHECK: gather(
func.func @part(%x: tensor<?x64xf32>, %p: tensor<6x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<7xi32>, %t: tensor<?xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %rows = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %o2 = tensor.extract_slice %o[1] [7] [1] : tensor<9xi32> to tensor<7xi32>
  %h = tensor.empty(%n) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%rows : tensor<?x64xf32>) rhs(%p : tensor<6x1x32x64xf32>) groups(%o2, %a : tensor<7xi32>, tensor<7xi32>) outs(%h : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  return %g : tensor<?x32xf32>
}

// -----

// A function of rows gathers them, weighted ones, too; so does an epilogue that
// adds them to the sums.
// CHECK-LABEL: func @row_map(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %{{[a-z0-9]+}}: tensor<8x1x64x64xf32>, %[[O:[a-z0-9]+]]: tensor<9xi32>, %{{[a-z0-9]+}}: tensor<9xi32>, %[[T:[a-z0-9]+]]: tensor<?xi32>, %[[W:[a-z0-9]+]]: tensor<?xf32>, %[[S:[a-z0-9]+]]: tensor<?xf32>
// CHECK-NOT: moek.gather{{ }}
// CHECK: %[[N:.*]] = moek.row_map groups(%[[O]] : tensor<9xi32>) tokens(%[[T]] : tensor<?xi32>) gathered(%[[X]] : tensor<?x64xf32>) rows(%[[S]], %[[W]] : tensor<?xf32>, tensor<?xf32>)
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<64xf32>, %[[SV:.*]]: f32, %[[WV:.*]]: f32):
// CHECK-NEXT: %[[B:.*]] = vector.broadcast %[[WV]]
// CHECK-NEXT: %[[R:.*]] = arith.mulf %[[V]], %[[B]]
// CHECK: arith.addf %[[R]]
// CHECK: moek.grouped_matmul {{.*}} lhs(%[[N]] : {{.*}} tokens(%[[T]] : tensor<?xi32>) gathered(%[[X]] : tensor<?x64xf32>)
// CHECK-NEXT: ^bb0(%[[SUM:.*]]: f32, %[[G:.*]]: f32):
// CHECK-NEXT: arith.addf %[[SUM]], %[[G]]
func.func @row_map(%x: tensor<?x64xf32>, %p: tensor<8x1x64x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %t: tensor<?xi32>, %w: tensor<?xf32>, %s: tensor<?xf32>, %n: index) -> tensor<?x64xf32> {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %rows = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) row_weights(%w : tensor<?xf32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %plain = moek.gather ins(%x, %t, %o : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>) outs(%e : tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = moek.row_map groups(%o : tensor<9xi32>) rows(%s, %rows : tensor<?xf32>, tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%c: f32, %v: vector<64xf32>):
    %b = vector.broadcast %c : f32 to vector<64xf32>
    %m = arith.addf %v, %b : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  %g = moek.grouped_matmul n(64) k(64) lhs(%h : tensor<?x64xf32>) rhs(%p : tensor<8x1x64x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) rows(%plain : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) epilogue {
  ^bb0(%v: f32, %r: f32):
    %m = arith.addf %v, %r : f32
    moek.yield %m : f32
  } -> tensor<?x64xf32>
  return %g : tensor<?x64xf32>
}
