// RUN: split-file %s %t
// RUN: moe-opt %t/form.mlir --test-moe-route | FileCheck %t/form.mlir
// RUN: moe-opt %t/run.mlir --test-moe-route --canonicalize | %run_mlir \
// RUN:   | FileCheck %t/run.mlir

//--- form.mlir

// CHECK-LABEL: @max
func.func @max(%s: tensor<4x16xf32>) -> !moe.routing<16 x 3> {
  // Four groups, then two rounds for groups and three for experts.
  // CHECK-COUNT-4: vector.reduction <maximumf>
  // CHECK-COUNT-2: vector.reduction <maxsi>, %{{.*}} : vector<4xi32>
  // CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xf32>
  // CHECK-COUNT-3: vector.reduction <maxsi>, %{{.*}} : vector<16xi32>
  // CHECK-NOT: scf.if
  // CHECK: moe.routing.make
  %r = moe.router #moe.group_top_k<3, groups = 4, keep = 2, reduce = max>
      select(%s) weigh(%s) : tensor<4x16xf32> -> !moe.routing<16 x 3>
  return %r : !moe.routing<16 x 3>
}

// All groups kept: groups do not matter.
// CHECK-LABEL: @keep_all
func.func @keep_all(%s: tensor<4x16xf32>) -> !moe.routing<16 x 3> {
  // CHECK-NOT: vector.reduction <maximumf>
  // CHECK: moe.routing.make
  %r = moe.router #moe.group_top_k<3, groups = 4, keep = 4, reduce = top2>
      select(%s) weigh(%s) : tensor<4x16xf32> -> !moe.routing<16 x 3>
  return %r : !moe.routing<16 x 3>
}

//--- run.mlir

func.func @print(%i: tensor<?x3xi32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %i, %c0 : tensor<?x3xi32>
  %pad = arith.constant -7 : i32
  scf.for %t = %c0 to %n step %c1 {
    %v = vector.transfer_read %i[%t, %c0], %pad {in_bounds = [true]}
        : tensor<?x3xi32>, vector<3xi32>
    vector.print %v : vector<3xi32>
  }
  return
}

// Groups of two experts. The rows are
// - rising scores,
// - a group with the best expert and the worst pair,
// - a NaN beside the best score: its group comes last,
// - negative scores, which a mask of 0 would beat,
// - NaN in every group: the first two stay, and masked experts come before NaN,
// - -inf everywhere,
// - +inf beside -inf, whose sum is NaN.
func.func @scores() -> tensor<7x8xf32> {
  %s = arith.constant dense<[
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    [10.0, -10.0, 4.0, 4.0, 5.0, 2.0, 0.0, 0.0],
    [0x7fc00000, 100.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0],
    [-1.0, -1.0, -5.0, -5.0, -2.0, -2.0, -9.0, -9.0],
    [0x7fc00000, 1.0, 0x7fc00000, 2.0, 0x7fc00000, 3.0, 0x7fc00000, 4.0],
    [0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000],
    [0x7f800000, 0xff800000, 1.0, 1.0, 0xff800000, 0x7f800000, 0.0, 2.5]]>
      : tensor<7x8xf32>
  return %s : tensor<7x8xf32>
}

func.func @top2() {
  %s = func.call @scores() : () -> tensor<7x8xf32>
  %r = moe.router #moe.group_top_k<3, groups = 4, keep = 2, reduce = top2>
      select(%s) weigh(%s) : tensor<7x8xf32> -> !moe.routing<8 x 3>
  %i = moe.routing.indices %r : !moe.routing<8 x 3> -> tensor<7x3xi32>
  %d = tensor.cast %i : tensor<7x3xi32> to tensor<?x3xi32>
  func.call @print(%d) : (tensor<?x3xi32>) -> ()
  return
}

func.func @max() {
  %s = func.call @scores() : () -> tensor<7x8xf32>
  %r = moe.router #moe.group_top_k<3, groups = 4, keep = 2, reduce = max>
      select(%s) weigh(%s) : tensor<7x8xf32> -> !moe.routing<8 x 3>
  %i = moe.routing.indices %r : !moe.routing<8 x 3> -> tensor<7x3xi32>
  %d = tensor.cast %i : tensor<7x3xi32> to tensor<?x3xi32>
  func.call @print(%d) : (tensor<?x3xi32>) -> ()
  return
}

func.func @main() {
  // CHECK: ( 7, 6, 5 )
  // CHECK-NEXT: ( 4, 2, 3 )
  // CHECK-NEXT: ( 4, 2, 3 )
  // CHECK-NEXT: ( 0, 1, 4 )
  // CHECK-NEXT: ( 3, 1, 4 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 7, 2, 3 )
  func.call @top2() : () -> ()
  // CHECK-NEXT: ( 7, 6, 5 )
  // CHECK-NEXT: ( 0, 4, 5 )
  // CHECK-NEXT: ( 4, 2, 3 )
  // CHECK-NEXT: ( 0, 1, 4 )
  // CHECK-NEXT: ( 3, 1, 4 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 0, 5, 1 )
  func.call @max() : () -> ()
  return
}
