// RUN: moe-opt %s --moek-window-rows=rows=64 --split-input-file --canonicalize --cse | FileCheck %s
// RUN: moe-opt %s --moek-window-rows=rows=64 --split-input-file --remarks-filter=moek-window-rows -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: moe-opt %s --moek-window-rows --split-input-file | FileCheck %s --check-prefix=NONE
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4 --moek-select-schedule --moek-window-rows --split-input-file | FileCheck %s --check-prefix=CHOSEN

// Buffers of rows have room for a window, those that others read as well; what
// counts experts is cut from the window's routing.

// Without schedules there is nothing to bound.
// NONE-NOT: moek.window
// CHOSEN: scf.for {{.*}} step %c65536
// CHOSEN: moek.window

// CHECK-LABEL: @kinds
// CHECK-SAME: (%[[X:.*]]: tensor<?x64xf32>, %[[I:.*]]: tensor<?x2xi32>, %[[W:.*]]: tensor<?x2xf32>
// CHECK: %[[N:.*]] = arith.muli
// CHECK: %[[OFFSETS:.*]], %[[ACTIVE:.*]], %[[TOKENS:.*]], %[[POSITIONS:.*]], %{{.*}} = moek.index
// CHECK: %[[SIZE:.*]] = arith.minsi %{{.*}}, %c64
// CHECK: %[[ROWS:.*]] = tensor.extract %[[OFFSETS]][%c9]
// CHECK: %[[ALL:.*]] = arith.index_cast %[[ROWS]]
// CHECK: %[[END:.*]] = arith.maxsi %[[ALL]], %c1
// CHECK: %[[Y:.*]] = scf.for %[[FIRST:.*]] = %c0 to %[[END]] step %c64 iter_args(%[[SUM:.*]] = %{{.*}}) -> (tensor<?x64xf32>)
// CHECK: %[[T:.*]] = tensor.empty(%[[SIZE]]) : tensor<?xi32>
// CHECK: %[[O:.*]], %[[A:.*]], %[[TW:.*]] = moek.window from(%[[FIRST]]) ins(%[[OFFSETS]], %[[ACTIVE]], %[[TOKENS]]
// CHECK-SAME: outs({{.*}}, %[[T]]
// CHECK: %[[OWN:.*]] = tensor.extract_slice %[[O]][0] [9] [1]
// CHECK: %[[E:.*]] = tensor.empty(%[[SIZE]]) : tensor<?x32xf32>
// CHECK: %[[H:.*]] = moek.grouped_matmul {{.*}} lhs(%[[X]] {{.*}}groups(%[[OWN]], %{{.*}} gather(%[[TW]] : tensor<?xi32>) {{.*}}outs(%[[E]]
// CHECK: %[[B:.*]] = tensor.empty(%[[SIZE]]) : tensor<?x64xf32>
// CHECK: %[[D:.*]] = moek.grouped_matmul {{.*}} lhs(%[[H]] {{.*}}outs(%[[B]]
// CHECK: %[[LAST:.*]] = tensor.extract_slice %[[O]][8] [2] [1]
// CHECK: %[[M:.*]] = moek.row_map groups(%[[LAST]] {{.*}} tokens(%[[TW]] {{.*}}outs(%[[D]]
// CHECK: %[[S:.*]] = moek.combine ins(%[[M]], %[[POSITIONS]] {{.*}} from(%[[FIRST]] of %[[ALL]]) slot_weights(%[[W]] {{.*}}outs(%[[SUM]]
// CHECK: scf.yield %[[S]]
// CHECK: return %[[Y]]
func.func @kinds(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %u: tensor<8x32x64xf32>,
                 %d: tensor<8x64x32xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %n = arith.muli %t, %c2 : index
  %e = tensor.empty() : tensor<10xi32>
  %en = tensor.empty(%n) : tensor<?xi32>
  %ep = tensor.empty(%t) : tensor<?x2xi32>
  %ew = tensor.empty(%n) : tensor<?xf32>
  %offsets, %active, %tokens, %positions, %row_weights = moek.index experts(9)
    ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
    outs(%e, %e, %en, %ep, %ew : tensor<10xi32>, tensor<10xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>)
    -> tensor<10xi32>, tensor<10xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
  %own = tensor.extract_slice %offsets[0] [9] [1] : tensor<10xi32> to tensor<9xi32>
  %some = tensor.extract_slice %active[0] [9] [1] : tensor<10xi32> to tensor<9xi32>
  %eh = tensor.empty(%n) : tensor<?x32xf32>
  %pu = moek.pack %u : tensor<8x32x64xf32> -> tensor<8x1x32x64xf32>
  %h = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%pu : tensor<8x1x32x64xf32>)
    groups(%own, %some : tensor<9xi32>, tensor<9xi32>) gather(%tokens : tensor<?xi32>)
    outs(%eh : tensor<?x32xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x32xf32>
  %eo = tensor.empty(%n) : tensor<?x64xf32>
  %pd = moek.pack %d : tensor<8x64x32xf32> -> tensor<8x1x64x32xf32>
  %o = moek.grouped_matmul n(64) k(32) lhs(%h : tensor<?x32xf32>) rhs(%pd : tensor<8x1x64x32xf32>)
    groups(%own, %some : tensor<9xi32>, tensor<9xi32>) outs(%eo : tensor<?x64xf32>) epilogue {
    ^bb0(%a: f32):
      moek.yield %a : f32
    } -> tensor<?x64xf32>
  %last = tensor.extract_slice %offsets[8] [2] [1] : tensor<10xi32> to tensor<2xi32>
  %m = moek.row_map groups(%last : tensor<2xi32>) tokens(%tokens : tensor<?xi32>) gathered(%x : tensor<?x64xf32>)
    outs(%o : tensor<?x64xf32>) body {
    ^bb0(%a: vector<64xf32>):
      moek.yield %a : vector<64xf32>
    } -> tensor<?x64xf32>
  %ey = tensor.empty(%t) : tensor<?x64xf32>
  %y = moek.combine ins(%m, %positions : tensor<?x64xf32>, tensor<?x2xi32>) slot_weights(%w : tensor<?x2xf32>)
    outs(%ey : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Sizes that are fixed: a window when they are larger, with weights of rows.

// CHECK-LABEL: @static
// CHECK: scf.for {{.*}} -> (tensor<50x64xf32>)
// CHECK: %{{.*}}, %{{.*}}, %[[T:.*]], %[[RW:.*]] = moek.window {{.*}} row_weights(%{{.*}} : tensor<100xf32>) {{.*}} -> tensor<9xi32>, tensor<9xi32>, tensor<64xi32>, tensor<64xf32>
// CHECK: %[[R:.*]] = moek.gather ins(%{{.*}}, %[[T]], {{.*}} row_weights(%[[RW]] : tensor<64xf32>) {{.*}} -> tensor<64x64xf32>
// CHECK: moek.combine ins(%[[R]], %{{.*}} : tensor<64x64xf32>, tensor<50x2xi32>)
func.func @static(%x: tensor<50x64xf32>, %i: tensor<50x2xi32>, %w: tensor<50x2xf32>) -> tensor<50x64xf32> {
  %e = tensor.empty() : tensor<9xi32>
  %en = tensor.empty() : tensor<100xi32>
  %ep = tensor.empty() : tensor<50x2xi32>
  %ew = tensor.empty() : tensor<100xf32>
  %offsets, %active, %tokens, %positions, %row_weights = moek.index experts(8)
    ins(%i, %w : tensor<50x2xi32>, tensor<50x2xf32>)
    outs(%e, %e, %en, %ep, %ew : tensor<9xi32>, tensor<9xi32>, tensor<100xi32>, tensor<50x2xi32>, tensor<100xf32>)
    -> tensor<9xi32>, tensor<9xi32>, tensor<100xi32>, tensor<50x2xi32>, tensor<100xf32>
  %eo = tensor.empty() : tensor<100x64xf32>
  %o = moek.gather ins(%x, %tokens, %offsets : tensor<50x64xf32>, tensor<100xi32>, tensor<9xi32>)
    row_weights(%row_weights : tensor<100xf32>) outs(%eo : tensor<100x64xf32>) -> tensor<100x64xf32>
  %ey = tensor.empty() : tensor<50x64xf32>
  %y = moek.combine ins(%o, %positions : tensor<100x64xf32>, tensor<50x2xi32>) outs(%ey : tensor<50x64xf32>)
    -> tensor<50x64xf32>
  return %y : tensor<50x64xf32>
}

// -----

// CHECK-LABEL: @small
// CHECK-NOT: scf.for
// CHECK: return
func.func @small(%x: tensor<32x64xf32>, %i: tensor<32x2xi32>, %w: tensor<32x2xf32>) -> tensor<32x64xf32> {
  %e = tensor.empty() : tensor<9xi32>
  %en = tensor.empty() : tensor<64xi32>
  %ep = tensor.empty() : tensor<32x2xi32>
  %ew = tensor.empty() : tensor<64xf32>
  %offsets, %active, %tokens, %positions, %row_weights = moek.index experts(8)
    ins(%i, %w : tensor<32x2xi32>, tensor<32x2xf32>)
    outs(%e, %e, %en, %ep, %ew : tensor<9xi32>, tensor<9xi32>, tensor<64xi32>, tensor<32x2xi32>, tensor<64xf32>)
    -> tensor<9xi32>, tensor<9xi32>, tensor<64xi32>, tensor<32x2xi32>, tensor<64xf32>
  %eo = tensor.empty() : tensor<64x64xf32>
  %o = moek.gather ins(%x, %tokens, %offsets : tensor<32x64xf32>, tensor<64xi32>, tensor<9xi32>)
    outs(%eo : tensor<64x64xf32>) -> tensor<64x64xf32>
  %ey = tensor.empty() : tensor<32x64xf32>
  %y = moek.combine ins(%o, %positions : tensor<64x64xf32>, tensor<32x2xi32>) outs(%ey : tensor<32x64xf32>)
    -> tensor<32x64xf32>
  return %y : tensor<32x64xf32>
}

// -----

// What is no kernel on rows reads all of them.

// REMARK: remark: {{.*}}the workspace grows with the number of tokens: 'tensor.extract' computes rows, and is no kernel
// CHECK-LABEL: @loop
// CHECK-NOT: moek.window
func.func @loop(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %t = tensor.dim %x, %c0 : tensor<?x64xf32>
  %n = arith.muli %t, %c2 : index
  %e = tensor.empty() : tensor<9xi32>
  %en = tensor.empty(%n) : tensor<?xi32>
  %ep = tensor.empty(%t) : tensor<?x2xi32>
  %ew = tensor.empty(%n) : tensor<?xf32>
  %offsets, %active, %tokens, %positions, %row_weights = moek.index experts(8)
    ins(%i, %w : tensor<?x2xi32>, tensor<?x2xf32>)
    outs(%e, %e, %en, %ep, %ew : tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>)
    -> tensor<9xi32>, tensor<9xi32>, tensor<?xi32>, tensor<?x2xi32>, tensor<?xf32>
  %eo = tensor.empty(%n) : tensor<?x64xf32>
  %o = moek.gather ins(%x, %tokens, %offsets : tensor<?x64xf32>, tensor<?xi32>, tensor<9xi32>)
    outs(%eo : tensor<?x64xf32>) -> tensor<?x64xf32>
  %v = tensor.extract %o[%c0, %c0] : tensor<?x64xf32>
  %r = tensor.insert %v into %o[%c0, %c2] : tensor<?x64xf32>
  %ey = tensor.empty(%t) : tensor<?x64xf32>
  %y = moek.combine ins(%r, %positions : tensor<?x64xf32>, tensor<?x2xi32>) outs(%ey : tensor<?x64xf32>)
    -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
