// RUN: moe-opt %s --moek-fuse-gate-up-activation --split-input-file | FileCheck %s
// RUN: moe-opt %s --moek-fuse-gate-up-activation --split-input-file --remarks-filter=moek-fuse-gate-up-activation -o %t 2>&1 | FileCheck %s --check-prefix=REMARK

// Gate and up of two groups of experts become pairs. The body is nothing that
// anybody has named; its parameters, and those of the matmuls, become the
// matmul's, each once.
// CHECK-LABEL: func @gate_up(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %[[WG:[a-z0-9]+]]: tensor<8x40x64xf32>, %[[WU:[a-z0-9]+]]: tensor<8x40x64xf32>, %[[SG:[a-z0-9]+]]: tensor<40x64xf32>, %[[SU:[a-z0-9]+]]: tensor<40x64xf32>, %[[BG:[a-z0-9]+]]: tensor<9x40xf32>, %[[BU:[a-z0-9]+]]: tensor<9x40xf32>
// CHECK: %[[P:.*]] = moek.pack %[[WG]], %[[WU]], %[[SG]], %[[SU]] parts(2) : {{.*}} -> tensor<9x2x40x64xf32>
// CHECK-NOT: moek.pack
// CHECK: %[[H:.*]] = moek.grouped_matmul n(40) k(64) parts(2) lhs(%[[X]] : tensor<?x64xf32>) rhs(%[[P]] : {{.*}} parameters(%[[BG]], %[[BU]] : tensor<9x40xf32>, tensor<9x40xf32>) phase("gate_up")
// CHECK-NEXT: ^bb0(%[[GS:.*]]: f32, %[[US:.*]]: f32, %[[GB:.*]]: f32, %[[UB:.*]]: f32):
// CHECK-NEXT: %[[G:.*]] = arith.addf %[[GS]], %[[GB]]
// CHECK-NEXT: %[[U:.*]] = arith.addf %[[US]], %[[UB]]
// CHECK-NEXT: %[[S:.*]] = math.sin %[[G]]
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[S]], %[[U]]
// CHECK-NEXT: %[[C:.*]] = arith.constant 3.{{.*}} : f32
// CHECK-NEXT: %[[V:.*]] = arith.addf %[[M]], %[[C]]
// CHECK-NEXT: moek.yield %[[V]]
// CHECK-NOT: moek.row_map
// CHECK: return %[[H]]
// REMARK: [Passed] fused{{.*}}two matmuls and their activation are one kernel
func.func @gate_up(%x: tensor<?x64xf32>, %wg: tensor<8x40x64xf32>, %wu: tensor<8x40x64xf32>, %sg: tensor<40x64xf32>, %su: tensor<40x64xf32>, %bg: tensor<9x40xf32>, %bu: tensor<9x40xf32>, %o: tensor<10xi32>, %a: tensor<10xi32>, %n: index) -> tensor<?x40xf32> {
  %e = tensor.empty(%n) : tensor<?x40xf32>
  %pg = moek.pack %wg, %sg : tensor<8x40x64xf32>, tensor<40x64xf32> -> tensor<9x1x40x64xf32>
  %g = moek.grouped_matmul n(40) k(64) lhs(%x : tensor<?x64xf32>) rhs(%pg : tensor<9x1x40x64xf32>) groups(%o, %a : tensor<10xi32>, tensor<10xi32>) parameters(%bg : tensor<9x40xf32>) phase("gate") outs(%e : tensor<?x40xf32>) epilogue {
  ^bb0(%v: f32, %b: f32):
    %s = arith.addf %v, %b : f32
    moek.yield %s : f32
  } -> tensor<?x40xf32>
  %pu = moek.pack %wu, %su : tensor<8x40x64xf32>, tensor<40x64xf32> -> tensor<9x1x40x64xf32>
  %u = moek.grouped_matmul n(40) k(64) lhs(%x : tensor<?x64xf32>) rhs(%pu : tensor<9x1x40x64xf32>) groups(%o, %a : tensor<10xi32>, tensor<10xi32>) phase("up") outs(%e : tensor<?x40xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x40xf32>
  %h = moek.row_map groups(%o : tensor<10xi32>) rows(%g, %u : tensor<?x40xf32>, tensor<?x40xf32>) parameters(%bu : tensor<9x40xf32>) outs(%e : tensor<?x40xf32>) body {
  ^bb0(%gv: vector<40xf32>, %uv: vector<40xf32>, %b: vector<40xf32>):
    %ub = arith.addf %uv, %b : vector<40xf32>
    %s = math.sin %gv : vector<40xf32>
    %m = arith.mulf %s, %ub : vector<40xf32>
    %three = arith.constant dense<3.0> : vector<40xf32>
    %v = arith.addf %m, %three : vector<40xf32>
    moek.yield %v : vector<40xf32>
  } -> tensor<?x40xf32>
  return %h : tensor<?x40xf32>
}

// -----

// One matmul, on top of an epilogue that is there. What a row has one of is one
// value in the epilogue, and rows of tokens and of the groups come along.
// CHECK-LABEL: func @plain(
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>, %{{[a-z0-9]+}}: tensor<8x1x32x64xf32>, %[[S:[a-z0-9]+]]: tensor<?xf32>, %[[R:[a-z0-9]+]]: tensor<?x32xbf16>, %[[T:[a-z0-9]+]]: tensor<?xi32>, %[[Y:[a-z0-9]+]]: tensor<?x32xf32>
// CHECK: moek.grouped_matmul n(32) k(64) lhs(
// CHECK-NOT: parts
// CHECK-SAME: tokens(%[[T]] : tensor<?xi32>) gathered(%[[Y]] : tensor<?x32xf32>) rows(%[[S]], %[[R]] : tensor<?xf32>, tensor<?x32xbf16>)
// CHECK: ^bb0(%[[V:.*]]: f32, %[[Y1:.*]]: f32, %[[S1:.*]]: f32, %[[R1:.*]]: bf16):
// CHECK-NEXT: %[[N:.*]] = arith.negf %[[V]] : f32
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[N]], %[[S1]] : f32
// CHECK-NEXT: %[[F:.*]] = arith.extf %[[R1]] : bf16 to f32
// CHECK-NEXT: %[[A:.*]] = arith.addf %[[M]], %[[F]] : f32
// CHECK-NEXT: %[[B:.*]] = arith.addf %[[A]], %[[Y1]] : f32
// CHECK-NEXT: moek.yield %[[B]]
// CHECK-NOT: moek.row_map
func.func @plain(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %s: tensor<?xf32>, %r: tensor<?x32xbf16>, %t: tensor<?xi32>, %y: tensor<?x32xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    %m = arith.negf %v : f32
    moek.yield %m : f32
  } -> tensor<?x32xf32>
  %h = moek.row_map groups(%o : tensor<9xi32>) tokens(%t : tensor<?xi32>) gathered(%y : tensor<?x32xf32>) rows(%s, %u, %r : tensor<?xf32>, tensor<?x32xf32>, tensor<?x32xbf16>) outs(%e : tensor<?x32xf32>) body {
  ^bb0(%yv: vector<32xf32>, %sv: f32, %uv: vector<32xf32>, %rv: vector<32xbf16>):
    %b = vector.broadcast %sv : f32 to vector<32xf32>
    %m = arith.mulf %uv, %b : vector<32xf32>
    %f = arith.extf %rv : vector<32xbf16> to vector<32xf32>
    %v = arith.addf %m, %f : vector<32xf32>
    %w = arith.addf %v, %yv : vector<32xf32>
    moek.yield %w : vector<32xf32>
  } -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

// Two matmuls of different rows: the later one has the epilogue, which reads the
// rows of the other.
// CHECK-LABEL: func @different(
// CHECK: %[[G:.*]] = moek.grouped_matmul
// CHECK: moek.grouped_matmul {{.*}} rows(%[[G]] : tensor<?x32xf32>)
// CHECK-NEXT: ^bb0(%[[U:.*]]: f32, %[[GV:.*]]: f32):
// CHECK-NEXT: arith.mulf %[[GV]], %[[U]]
// CHECK-NOT: moek.row_map
// REMARK: [Passed] fused{{.*}}the activation is the epilogue of its matmul
// REMARK: [Missed] not-fused{{.*}}two matmuls stay apart: the two matmuls do not multiply the same rows
func.func @different(%x: tensor<?x64xf32>, %x2: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> tensor<?x32xf32> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %g = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x2 : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = moek.row_map groups(%o : tensor<9xi32>) rows(%g, %u : tensor<?x32xf32>, tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) body {
  ^bb0(%gv: vector<32xf32>, %uv: vector<32xf32>):
    %m = arith.mulf %gv, %uv : vector<32xf32>
    moek.yield %m : vector<32xf32>
  } -> tensor<?x32xf32>
  return %h : tensor<?x32xf32>
}

// -----

// A reduction needs the whole row, a constant of its own in each column has no
// element, and rows that are read elsewhere have to be stored.
// CHECK-LABEL: func @reasons(
// CHECK-COUNT-3: moek.row_map
// REMARK: [Missed] not-fused{{.*}}its body has a vector.reduction, which is not elementwise
// REMARK: [Missed] not-fused{{.*}}a constant that differs from column to column
// REMARK: [Missed] not-fused{{.*}}a result of the matmuls has another use
func.func @reasons(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h = moek.row_map groups(%o : tensor<9xi32>) rows(%u : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) body {
  ^bb0(%v: vector<32xf32>):
    %s = vector.reduction <add>, %v : vector<32xf32> into f32
    %b = vector.broadcast %s : f32 to vector<32xf32>
    moek.yield %b : vector<32xf32>
  } -> tensor<?x32xf32>
  %u2 = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h2 = moek.row_map groups(%o : tensor<9xi32>) rows(%u2 : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) body {
  ^bb0(%v: vector<32xf32>):
    %c = arith.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0, 28.0, 29.0, 30.0, 31.0]> : vector<32xf32>
    %s = arith.mulf %v, %c : vector<32xf32>
    moek.yield %s : vector<32xf32>
  } -> tensor<?x32xf32>
  %u3 = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %h3 = moek.row_map groups(%o : tensor<9xi32>) rows(%u3 : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) body {
  ^bb0(%v: vector<32xf32>):
    %s = arith.negf %v : vector<32xf32>
    moek.yield %s : vector<32xf32>
  } -> tensor<?x32xf32>
  return %h, %h2, %h3, %u3 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Matmuls write no booleans.
// CHECK-LABEL: func @compare(
// CHECK: moek.grouped_matmul
// CHECK: moek.row_map {{.*}} outs(%{{.*}} : tensor<?x32xi1>)
// REMARK: [Missed] not-fused{{.*}}it makes something else than f32 or bf16, which matmuls write
func.func @compare(%x: tensor<?x64xf32>, %p: tensor<8x1x32x64xf32>, %o: tensor<9xi32>, %a: tensor<9xi32>, %n: index) -> tensor<?x32xi1> {
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %u = moek.grouped_matmul n(32) k(64) lhs(%x : tensor<?x64xf32>) rhs(%p : tensor<8x1x32x64xf32>) groups(%o, %a : tensor<9xi32>, tensor<9xi32>) outs(%e : tensor<?x32xf32>) epilogue {
  ^bb0(%v: f32):
    moek.yield %v : f32
  } -> tensor<?x32xf32>
  %b = tensor.empty(%n) : tensor<?x32xi1>
  %h = moek.row_map groups(%o : tensor<9xi32>) rows(%u : tensor<?x32xf32>) outs(%b : tensor<?x32xi1>) body {
  ^bb0(%v: vector<32xf32>):
    %zero = arith.constant dense<0.0> : vector<32xf32>
    %c = arith.cmpf ogt, %v, %zero : vector<32xf32>
    moek.yield %c : vector<32xi1>
  } -> tensor<?x32xi1>
  return %h : tensor<?x32xi1>
}
