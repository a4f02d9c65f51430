// RUN: moe-opt %s --moek-fuse-gate-up-activation --split-input-file | FileCheck %s
// RUN: moe-opt %s --moek-fuse-gate-up-activation --split-input-file --remarks-filter=moek-fuse-gate-up-activation -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

#id = affine_map<(d0, d1) -> (d0, d1)>
// Gate and up of two groups of experts become pairs. The body reads a constant
// from outside and is nothing that anybody has named.
// CHECK-LABEL: func @gate_up(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %[[WG:[a-z0-9]+]]: tensor<8x40x64xf32>, %[[WU:[a-z0-9]+]]: tensor<8x40x64xf32>, %[[SG:[a-z0-9]+]]: tensor<40x64xf32>, %[[SU:[a-z0-9]+]]: tensor<40x64xf32>, %[[BG:[a-z0-9]+]]: tensor<9x40xf32>, %[[BU:[a-z0-9]+]]: tensor<9x40xf32>
// CHECK: %[[P:.*]] = moek.pack %[[WG]], %[[WU]], %[[SG]], %[[SU]] parts(2) : {{.*}} -> tensor<9x2x40x64xf32>
// CHECK-NOT: moek.pack
// CHECK: %[[H:.*]] = moek.grouped_matmul n(40) k(64) parts(2) lhs(%[[X]] : tensor<?x64xf32>) rhs(%[[P]] : {{.*}} biases(%[[BG]], %[[BU]] :
// CHECK-NEXT: ^bb0(%[[G:.*]]: f32, %[[U:.*]]: f32):
// CHECK-NEXT: %[[S:.*]] = math.sin %[[G]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[S]], %[[U]]
// CHECK-NEXT: %[[C:.*]] = arith.constant 3.{{.*}} : f32
// CHECK-NEXT: %[[V:.*]] = arith.addf %[[M]], %[[C]]
// CHECK-NEXT: moek.yield %[[V]]
// CHECK-NOT: linalg.generic
// CHECK: return %[[H]]
// REMARK: [Passed] fused{{.*}}two matmuls and their activation are one kernel
func.func @gate_up(%x: tensor<?x64xf32>, %wg: tensor<8x40x64xf32>, %wu: tensor<8x40x64xf32>, %sg: tensor<40x64xf32>, %su: tensor<40x64xf32>, %bg: tensor<9x40xf32>, %bu: tensor<9x40xf32>, %o: tensor<10xi32>, %a: tensor<10xi32>, %n: index) -> tensor<?x40xf32> {
  %e = tensor.empty(%n) : tensor<?x40xf32>
  %three = arith.constant 3.0 : f32
  %pg = moek.pack %wg, %sg : tensor<8x40x64xf32>, tensor<40x64xf32> -> tensor<9x1x40x64xf32>
  %g = moek.grouped_matmul n(40) k(64) lhs(%x : tensor<?x64xf32>) rhs(%pg : tensor<9x1x40x64xf32>) groups(%o, %a : tensor<10xi32>, tensor<10xi32>) biases(%bg : tensor<9x40xf32>) outs(%e : tensor<?x40xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x40xf32>
  %pu = moek.pack %wu, %su : tensor<8x40x64xf32>, tensor<40x64xf32> -> tensor<9x1x40x64xf32>
  %u = moek.grouped_matmul n(40) k(64) lhs(%x : tensor<?x64xf32>) rhs(%pu : tensor<9x1x40x64xf32>) groups(%o, %a : tensor<10xi32>, tensor<10xi32>) biases(%bu : tensor<9x40xf32>) outs(%e : tensor<?x40xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x40xf32>
  %h = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%g, %u : tensor<?x40xf32>, tensor<?x40xf32>) outs(%e : tensor<?x40xf32>) {
  ^bb0(%gv: f32, %uv: f32, %out: f32):
    %s = math.sin %gv : f32
    %m = arith.mulf %s, %uv : f32
    %v = arith.addf %m, %three : f32
    linalg.yield %v : f32
  } -> tensor<?x40xf32>
  return %h : tensor<?x40xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// One matmul, and a named elementwise op on top of an epilogue that is there.
// CHECK-LABEL: func @plain(
// CHECK: moek.grouped_matmul n(32) k(64) lhs(
// CHECK-NOT: parts
// CHECK: ^bb0(%[[V:.*]]: f32):
// CHECK-NEXT: %[[N:.*]] = arith.negf %[[V]]
// CHECK-NEXT: %[[T:.*]] = math.tanh %[[N]]
// CHECK-NEXT: moek.yield %[[T]]
func.func @plain(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    %m = arith.negf %v : f32
    moek.yield %m : f32
  } -> tensor<?x32xf32>
  %h = linalg.tanh ins(%u : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// The destination, which is not read, is the result of the matmul itself.
// CHECK-LABEL: func @in_place(
// CHECK: %[[E:.*]] = tensor.empty
// CHECK: moek.grouped_matmul {{.*}} outs(%[[E]] :
// CHECK: math.absf
// CHECK-NOT: linalg
func.func @in_place(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = linalg.abs ins(%u : tensor<?x32xf32>) outs(%u : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
#col = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func @broadcast(
// CHECK: linalg.generic
// REMARK: [Missed] not-fused{{.*}}it is not elementwise
func.func @broadcast(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %b: tensor<32xf32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = linalg.generic {indexing_maps = [#id, #col, #id], iterator_types = ["parallel", "parallel"]} ins(%u, %b : tensor<?x32xf32>, tensor<32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%v: f32, %c: f32, %out: f32):
    %m = arith.mulf %v, %c : f32
    linalg.yield %m : f32
  } -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// Different rows on the two sides, and a bias on one side only.
// CHECK-LABEL: func @different(
// CHECK: linalg.mul
// CHECK: linalg.add
// REMARK: [Missed] not-fused{{.*}}the two matmuls do not multiply the same rows
// REMARK: [Missed] not-fused{{.*}}one of the two matmuls has a bias and the other has none
func.func @different(%x: tensor<?x64xf32>, %x2: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %b: tensor<8x32xf32>, %n: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x2 : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = linalg.mul ins(%g, %u : tensor<?x32xf32>, tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %g2 = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) biases(%b : tensor<8x32xf32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %u2 = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h2 = linalg.add ins(%g2, %u2 : tensor<?x32xf32>, tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %h, %h2 : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func @runtime_value(
// CHECK: linalg.generic
// CHECK: linalg.generic
// REMARK: [Missed] not-fused{{.*}}uses a value from outside that is not a constant
// REMARK: [Missed] not-fused{{.*}}its body has a linalg.index, which is not elementwise
func.func @runtime_value(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %c: f32, %n: index) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%u : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%v: f32, %out: f32):
    %m = arith.mulf %v, %c : f32
    linalg.yield %m : f32
  } -> tensor<?x32xf32>
  %u2 = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h2 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%u2 : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) {
  ^bb0(%v: f32, %out: f32):
    %i = linalg.index 1 : index
    %i32 = arith.index_cast %i : index to i32
    %f = arith.sitofp %i32 : i32 to f32
    %m = arith.mulf %v, %f : f32
    linalg.yield %m : f32
  } -> tensor<?x32xf32>
  return %h, %h2 : tensor<?x32xf32>, tensor<?x32xf32>
}
