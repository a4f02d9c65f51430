// RUN: moe-opt %s --moek-fuse-row-maps --split-input-file | FileCheck %s
// RUN: moe-opt %s --moek-fuse-row-maps --split-input-file --remarks-filter=moek-fuse-row-maps -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// The norm of a row: its sum of squares, and the row times its root. The sum has
// no other reader and is not stored; the rows between are, because one has.
// CHECK-LABEL: func @norm(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %[[G:[a-z0-9]+]]: tensor<8x64xf32>, %[[O:[a-z0-9]+]]: tensor<9xi32>
// CHECK: %[[R:.*]]:2 = moek.row_map groups(%[[O]] : tensor<9xi32>) rows(%[[X]] : tensor<?x64xf32>) parameters(%[[G]] : tensor<8x64xf32>) outs(%{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x64xf32>) body {
// CHECK-NEXT: ^bb0(%[[V:.*]]: vector<64xf32>, %[[GV:.*]]: vector<64xf32>):
// CHECK-NEXT: %[[Q:.*]] = arith.mulf %[[V]], %[[V]]
// CHECK-NEXT: %[[S:.*]] = vector.reduction <add>, %[[Q]]
// CHECK-NEXT: %[[I:.*]] = math.rsqrt %[[S]] : f32
// CHECK-NEXT: %[[B:.*]] = vector.broadcast %[[I]]
// CHECK-NEXT: %[[N:.*]] = arith.mulf %[[V]], %[[B]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[N]], %[[GV]]
// CHECK-NEXT: moek.yield %[[M]], %[[N]]
// CHECK-NOT: moek.row_map
// CHECK: return %[[R]]#0, %[[R]]#1
// REMARK: [Passed] fused{{.*}}2 functions of a row are one pass over the rows" (2 times: norm)
func.func @norm(%x: tensor<?x64xf32>, %g: tensor<8x64xf32>, %o: tensor<9xi32>, %n: index) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %e1 = tensor.empty(%n) : tensor<?xf32>
  %s = moek.row_map groups(%o : tensor<9xi32>) rows(%x : tensor<?x64xf32>) outs(%e1 : tensor<?xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %q = arith.mulf %v, %v : vector<64xf32>
    %r = vector.reduction <add>, %q : vector<64xf32> into f32
    moek.yield %r : f32
  } -> tensor<?xf32>
  %y = moek.row_map groups(%o : tensor<9xi32>) rows(%x, %s : tensor<?x64xf32>, tensor<?xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>, %q: f32):
    %i = math.rsqrt %q : f32
    %b = vector.broadcast %i : f32 to vector<64xf32>
    %m = arith.mulf %v, %b : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  %z = moek.row_map groups(%o : tensor<9xi32>) rows(%y : tensor<?x64xf32>) parameters(%g : tensor<8x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>, %c: vector<64xf32>):
    %m = arith.mulf %v, %c : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  return %z, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// What an output rounds its readers get rounded.
// CHECK-LABEL: func @rounds(
// CHECK: %[[A:.*]] = arith.addf
// CHECK-NEXT: %[[T:.*]] = arith.truncf %[[A]] : vector<64xf32> to vector<64xbf16>
// CHECK-NEXT: arith.extf %[[T]]
func.func @rounds(%x: tensor<?x64xf32>, %o: tensor<9xi32>, %n: index) -> tensor<?x64xf32> {
  %e = tensor.empty(%n) : tensor<?x64xbf16>
  %f = tensor.empty(%n) : tensor<?x64xf32>
  %y = moek.row_map groups(%o : tensor<9xi32>) rows(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xbf16>) body {
  ^bb0(%v: vector<64xf32>):
    %m = arith.addf %v, %v : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xbf16>
  %z = moek.row_map groups(%o : tensor<9xi32>) rows(%y : tensor<?x64xbf16>) outs(%f : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xbf16>):
    %m = arith.extf %v : vector<64xbf16> to vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// -----

// CHECK-LABEL: func @apart(
// CHECK-COUNT-3: moek.row_map
// REMARK: [Missed] not-fused{{.*}}it is of other groups
// REMARK: [Missed] not-fused{{.*}}its rows are of another length
func.func @apart(%x: tensor<?x64xf32>, %o: tensor<9xi32>, %o2: tensor<9xi32>, %n: index) -> (tensor<?x64xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x64xf32>
  %f = tensor.empty(%n) : tensor<?x32xf32>
  %y = moek.row_map groups(%o : tensor<9xi32>) rows(%x : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %m = arith.addf %v, %v : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  %z = moek.row_map groups(%o2 : tensor<9xi32>) rows(%y : tensor<?x64xf32>) outs(%e : tensor<?x64xf32>) body {
  ^bb0(%v: vector<64xf32>):
    %m = arith.negf %v : vector<64xf32>
    moek.yield %m : vector<64xf32>
  } -> tensor<?x64xf32>
  %w = moek.row_map groups(%o : tensor<9xi32>) rows(%y : tensor<?x64xf32>) outs(%f : tensor<?x32xf32>) body {
  ^bb0(%v: vector<32xf32>):
    %m = arith.negf %v : vector<32xf32>
    moek.yield %m : vector<32xf32>
  } -> tensor<?x32xf32>
  return %z, %w : tensor<?x64xf32>, tensor<?x32xf32>
}
