// RUN: split-file %s %t
// RUN: moe-opt %t/form.mlir --test-moe-route | FileCheck %t/form.mlir
// RUN: moe-opt %t/run.mlir --test-moe-route --canonicalize | %run_mlir \
// RUN:   | FileCheck %t/run.mlir

//--- form.mlir

// Few slots are straight-line code; nothing branches on data.
// CHECK-LABEL: @unrolled
func.func @unrolled(%s: tensor<4x8xf32>) -> !moe.routing<8 x 2> {
  // CHECK: scf.for
  // CHECK: %[[SUM:.*]] = arith.addf %{{.*}} : vector<8xf32>
  // CHECK: %[[BITS:.*]] = arith.bitcast %[[SUM]] : vector<8xf32> to vector<8xi32>
  // CHECK: arith.xori %[[BITS]]
  // CHECK: arith.cmpf uno, %[[SUM]], %[[SUM]]
  // CHECK-COUNT-2: vector.reduction <maxsi>
  // CHECK-NOT: vector.reduction <maxsi>
  // CHECK-NOT: scf.if
  // CHECK: moe.routing.make
  %r = moe.router #moe.top_k<2> select(%s) weigh(%s)
      : tensor<4x8xf32> -> !moe.routing<8 x 2>
  return %r : !moe.routing<8 x 2>
}

// Many slots are a counted loop.
// CHECK-LABEL: @loop
func.func @loop(%s: tensor<4x32xf64>) -> !moe.routing<32 x 20> {
  // CHECK: scf.for
  // CHECK: arith.bitcast %{{.*}} : vector<32xf64> to vector<32xi64>
  // CHECK: scf.for %{{.*}} to %c20
  // CHECK-COUNT-1: vector.reduction <maxsi>
  // CHECK-NOT: vector.reduction <maxsi>
  %r = moe.router #moe.top_k<20> select(%s) weigh(%s)
      : tensor<4x32xf64> -> !moe.routing<32 x 20>
  return %r : !moe.routing<32 x 20>
}

//--- run.mlir

func.func @print(%i: tensor<?x3xi32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %pad = arith.constant -7 : i32
  scf.for %t = %c0 to %n step %c1 {
    %v = vector.transfer_read %i[%t, %c0], %pad {in_bounds = [true]}
        : tensor<?x3xi32>, vector<3xi32>
    vector.print %v : vector<3xi32>
  }
  return
}

// NaN is 0x7fc00000 (and, once, the negative 0xffc00000), +inf 0x7f800000,
// -inf 0xff800000, and 0x00000001 the smallest number above 0.
func.func @f32() {
  %s = arith.constant dense<[
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -1.0, 0.0],
    [0x7fc00000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000, 0xff800000],
    [0x7fc00000, 0x7fc00000, 0xffc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000],
    [0x7fc00000, 1.0, 0xffc00000, 0xff800000, 0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000],
    [0xff800000, -1.0, -2.0, -0.5, 0x7f800000, 0x7f800000, 0x00000001, 0.0],
    [1.0, 3.0, 2.0, 3.0, 1.0, 3.0, 2.0, 3.0]]> : tensor<9x8xf32>
  %r = moe.router #moe.top_k<3> select(%s) weigh(%s)
      : tensor<9x8xf32> -> !moe.routing<8 x 3>
  %i = moe.routing.indices %r : !moe.routing<8 x 3> -> tensor<9x3xi32>
  %d = tensor.cast %i : tensor<9x3xi32> to tensor<?x3xi32>
  %n = arith.constant 9 : index
  func.call @print(%d, %n) : (tensor<?x3xi32>, index) -> ()
  return
}

func.func @f64() {
  %s = arith.constant dense<[
    [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0],
    [-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -1.0, 0.0],
    [0x7ff8000000000000, 1.0, 0xfff8000000000000, 0xfff0000000000000,
     0x7ff8000000000000, 0x7ff8000000000000, 0x7ff8000000000000, 0x7ff8000000000000],
    [1.0, 1.0000000000000002, 1.0, 1.0000000000000004, 1.0, 1.0, 1.0, 1.0]]>
      : tensor<5x8xf64>
  %r = moe.router #moe.top_k<3> select(%s) weigh(%s)
      : tensor<5x8xf64> -> !moe.routing<8 x 3>
  %i = moe.routing.indices %r : !moe.routing<8 x 3> -> tensor<5x3xi32>
  %d = tensor.cast %i : tensor<5x3xi32> to tensor<?x3xi32>
  %n = arith.constant 5 : index
  func.call @print(%d, %n) : (tensor<?x3xi32>, index) -> ()
  return
}

// All experts, in the loop form: a permutation. The values follow.
func.func @all() {
  %c0 = arith.constant 0 : index
  %pad = arith.constant -7 : i32
  %zero = arith.constant 0.0 : f32
  %s = arith.constant dense<[[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0,
      5.0, 8.0, 9.0, 7.0, 9.0, 3.0, 2.0, 3.0, 8.0, 4.0]]> : tensor<1x20xf32>
  %r = moe.router #moe.top_k<20> select(%s) weigh(%s)
      : tensor<1x20xf32> -> !moe.routing<20 x 20>
  %i = moe.routing.indices %r : !moe.routing<20 x 20> -> tensor<1x20xi32>
  %w = moe.routing.weights %r : !moe.routing<20 x 20> -> tensor<1x20xf32>
  %v = vector.transfer_read %i[%c0, %c0], %pad {in_bounds = [true]}
      : tensor<1x20xi32>, vector<20xi32>
  %u = vector.transfer_read %w[%c0, %c0], %zero {in_bounds = [true]}
      : tensor<1x20xf32>, vector<20xf32>
  vector.print %v : vector<20xi32>
  vector.print %u : vector<20xf32>
  return
}

func.func @main() {
  // CHECK: ( 7, 6, 5 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 1, 2, 3 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 1, 3, 0 )
  // CHECK-NEXT: ( 4, 5, 6 )
  // CHECK-NEXT: ( 1, 3, 5 )
  func.call @f32() : () -> ()
  // CHECK-NEXT: ( 7, 6, 5 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 0, 1, 2 )
  // CHECK-NEXT: ( 1, 3, 0 )
  // CHECK-NEXT: ( 3, 1, 0 )
  func.call @f64() : () -> ()
  // CHECK-NEXT: ( 5, 12, 14, 11, 18, 13, 7, 4, 8, 10, 2, 19, 0, 9, 15, 17, 6, 16, 1, 3 )
  // CHECK-NEXT: ( 9, 9, 9, 8, 8, 7, 6, 5, 5, 5, 4, 4, 3, 3, 3, 3, 2, 2, 1, 1 )
  func.call @all() : () -> ()
  return
}
