// RUN: moe-opt %s --moe-fusion-pipeline --split-input-file -o /dev/null --remarks-filter='.*' 2>&1 | grep remark: | FileCheck %s --implicit-check-not=remark:

// Experts that run as a loop are said to, with the groups of one reason in one
// remark. That rows are then gathered and combined apart is no news, and nor is
// that the loop slices its weights.
// CHECK: remark: [Missed] {{.*}} | Category:convert-moe-to-moek | Remark="the experts of 3 groups (0 .. 1, 3) run as a loop over blocks of rows: the body has a linalg.add that computes a weight;
// CHECK: remark: [Passed] {{.*}} | Category:moek-fuse-gate-up-activation |
func.func @mixed(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>, %wu: tensor<2x32x64xf32>, %wd: tensor<2x64x32xf32>) -> tensor<?x64xf32> {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 2 weights(%wu, %wd : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %v = linalg.add ins(%u, %u : tensor<32x64xf32>, tensor<32x64xf32>) outs(%u : tensor<32x64xf32>) -> tensor<32x64xf32>
    %f = moe.ffn %t up(%v) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 2 to 4 weights(%wu, %wd : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %v = linalg.add ins(%u, %u : tensor<32x64xf32>, tensor<32x64xf32>) outs(%u : tensor<32x64xf32>) -> tensor<32x64xf32>
    %f = moe.ffn %t up(%v) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 4 to 6 weights(%wu, %wd : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  } experts 6 to 8 weights(%wu, %wd : tensor<2x32x64xf32>, tensor<2x64x32xf32>) {
  ^bb0(%t: tensor<?x64xf32>, %u: tensor<32x64xf32>, %d: tensor<64x32xf32>):
    %v = linalg.add ins(%u, %u : tensor<32x64xf32>, tensor<32x64xf32>) outs(%u : tensor<32x64xf32>) -> tensor<32x64xf32>
    %f = moe.ffn %t up(%v) down(%d) activation(#moe.relu) : (tensor<?x64xf32>, tensor<32x64xf32>, tensor<64x32xf32>) -> tensor<?x64xf32>
    moe.yield %f : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Conversions between the loop and its neighbours change nothing of that.
// CHECK: remark: [Missed] {{.*}} | Category:convert-moe-to-moek | Remark="the experts of group 0 run as a loop
func.func @narrow(%x: tensor<?x64xbf16>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>) -> tensor<?x64xbf16> {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xbf16>, !moe.routing<8 x 2> -> tensor<?x64xbf16>
  %out = moe.expert %rows by %r : (tensor<?x64xbf16>, !moe.routing<8 x 2>) -> tensor<?x64xbf16>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x64xbf16>):
    %s = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%t : tensor<?x64xbf16>) {
    ^bb0(%v: bf16):
      %j = linalg.index 1 : index
      %k = arith.index_cast %j : index to i32
      %c = arith.sitofp %k : i32 to bf16
      %m = arith.mulf %v, %c : bf16
      linalg.yield %m : bf16
    } -> tensor<?x64xbf16>
    moe.yield %s : tensor<?x64xbf16>
  }
  %y = moe.combine %out by %r : tensor<?x64xbf16>, !moe.routing<8 x 2> -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

// -----

// A reason that has nothing to do with the loop is one more.
// CHECK: remark: [Missed] {{.*}} | Category:convert-moe-to-moek | Remark="the experts of group 0 run as a loop
// CHECK: remark: [Missed] {{.*}} | Category:moek-fuse-gather | {{.*}}its rows are read by func.return
func.func @returned(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %w: tensor<?x2xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  %out = moe.expert %rows by %r : (tensor<?x64xf32>, !moe.routing<8 x 2>) -> tensor<?x64xf32>
  experts 0 to 8 {
  ^bb0(%t: tensor<?x64xf32>):
    %s = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} outs(%t : tensor<?x64xf32>) {
    ^bb0(%v: f32):
      %j = linalg.index 1 : index
      %k = arith.index_cast %j : index to i32
      %c = arith.sitofp %k : i32 to f32
      %m = arith.mulf %v, %c : f32
      linalg.yield %m : f32
    } -> tensor<?x64xf32>
    moe.yield %s : tensor<?x64xf32>
  }
  %y = moe.combine %out by %r : tensor<?x64xf32>, !moe.routing<8 x 2> -> tensor<?x64xf32>
  return %y, %rows : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// CHECK: remark: [Missed] {{.*}} | Category:convert-moe-to-moek | Remark="no kernel computes it: rows are f64, and kernels compute in f32"
func.func @double(%x: tensor<?x64xf64>, %u: tensor<32x64xf64>, %d: tensor<64x32xf64>) -> tensor<?x64xf64> {
  %f = moe.ffn %x up(%u) down(%d) activation(#moe.relu) : (tensor<?x64xf64>, tensor<32x64xf64>, tensor<64x32xf64>) -> tensor<?x64xf64>
  return %f : tensor<?x64xf64>
}
