// RUN: moe-interpret %s --all --print | FileCheck %s

// CHECK: sum result0: i64[] [45]
func.func @sum() -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %s = scf.for %i = %c0 to %c10 step %c1 iter_args(%a = %c0) -> index {
    %n = arith.addi %a, %i : index
    scf.yield %n : index
  }
  return %s : index
}

// A loop that runs no time yields what it was given.
// CHECK: empty result0: f64[] [2.5]
func.func @empty() -> f32 {
  %c5 = arith.constant 5 : index
  %c1 = arith.constant 1 : index
  %f = arith.constant 2.5 : f32
  %s = scf.for %i = %c5 to %c5 step %c1 iter_args(%a = %f) -> f32 {
    %n = arith.addf %a, %a : f32
    scf.yield %n : f32
  }
  return %s : f32
}

// CHECK: collatz result0: i32[] [111]
func.func @collatz() -> i32 {
  %n0 = arith.constant 27 : i32
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %r:2 = scf.while (%n = %n0, %k = %c0) : (i32, i32) -> (i32, i32) {
    %more = arith.cmpi ne, %n, %c1 : i32
    scf.condition(%more) %n, %k : i32, i32
  } do {
  ^bb0(%n: i32, %k: i32):
    %odd = arith.remsi %n, %c2 : i32
    %isOdd = arith.cmpi eq, %odd, %c1 : i32
    %next = scf.if %isOdd -> i32 {
      %t = arith.muli %n, %c3 : i32
      %u = arith.addi %t, %c1 : i32
      scf.yield %u : i32
    } else {
      %h = arith.divsi %n, %c2 : i32
      scf.yield %h : i32
    }
    %k1 = arith.addi %k, %c1 : i32
    scf.yield %next, %k1 : i32, i32
  }
  return %r#1 : i32
}

// CHECK: choose result0: i64[] [20]
func.func @choose() -> index {
  %c1 = arith.constant 1 : index
  %r = scf.index_switch %c1 -> index
  case 0 {
    %a = arith.constant 10 : index
    scf.yield %a : index
  }
  case 1 {
    %a = arith.constant 20 : index
    scf.yield %a : index
  }
  default {
    %a = arith.constant 30 : index
    scf.yield %a : index
  }
  return %r : index
}

// Recursion has values of its own at each level.
// CHECK: fib result0: i32[] [55]
func.func @fib() -> i32 {
  %n = arith.constant 10 : i32
  %r = call @fibonacci(%n) : (i32) -> i32
  return %r : i32
}
func.func private @fibonacci(%n: i32) -> i32 {
  %c1 = arith.constant 1 : i32
  %c2 = arith.constant 2 : i32
  %small = arith.cmpi sle, %n, %c1 : i32
  %r = scf.if %small -> i32 {
    scf.yield %n : i32
  } else {
    %a = arith.subi %n, %c1 : i32
    %b = arith.subi %n, %c2 : i32
    %fa = func.call @fibonacci(%a) : (i32) -> i32
    %fb = func.call @fibonacci(%b) : (i32) -> i32
    %s = arith.addi %fa, %fb : i32
    scf.yield %s : i32
  }
  return %r : i32
}

// CHECK: affine_ops result0: i64[] [17]
// CHECK-NEXT: affine_ops result1: i64[] [3]
// CHECK-NEXT: affine_ops result2: i64[] [7]
func.func @affine_ops() -> (index, index, index) {
  %c3 = arith.constant 3 : index
  %c7 = arith.constant 7 : index
  %0 = affine.apply affine_map<(d0)[s0] -> (d0 * 3 + s0 floordiv 2 + 5)>(%c3)[%c7]
  %1 = affine.min affine_map<(d0, d1) -> (d0, d1)>(%c3, %c7)
  %2 = affine.max affine_map<(d0, d1) -> (d0, d1)>(%c3, %c7)
  return %0, %1, %2 : index, index, index
}
