// RUN: moe-opt %s --verify-roundtrip --split-input-file --verify-diagnostics | FileCheck %s
// RUN: moe-opt %s --canonicalize --split-input-file --verify-diagnostics | FileCheck %s --check-prefix=CANON

// CHECK-LABEL: @check
// CANON-LABEL: @check
func.func @check(%ok: i1, %n: index, %c: i1) {
  %true = arith.constant true
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // CHECK: moe_rt.check %{{.*}}, bad_routing, "twice"
  // CANON: moe_rt.check %{{.*}}, bad_routing, "twice"
  moe_rt.check %ok, bad_routing, "twice"
  // CHECK: moe_rt.check %{{.*}}, bad_value, "always holds"
  // CANON-NOT: always holds
  moe_rt.check %true, bad_value, "always holds"
  scf.for %i = %c0 to %n step %c1 {
    scf.if %c {
      // CANON: moe_rt.check %{{.*}}, bad_size, "nested"
      moe_rt.check %ok, bad_size, "nested"
    }
    moe_rt.check %ok, bad_size, "in a loop"
  }
  return
}

// -----

func.func @parallel(%ok: i1, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    // expected-error@+1 {{can end a call from the body of a function and from sequential scf ops in it, not from 'scf.parallel'}}
    moe_rt.check %ok, bad_size, "no"
  }
  return
}

// -----

func.func @status(%ok: i1) {
  // expected-error@+2 {{expected ::moert::Status to be one of: bad_size, bad_routing, bad_value}}
  // expected-error@+1 {{failed to parse}}
  moe_rt.check %ok, sunk, "no"
  return
}

// -----

func.func @verify(%i: tensor<?x4xi32>, %m: memref<?x4xi32>) -> (i1, i1) {
  // CHECK: moek.verify_routing %{{.*}} experts(8) : tensor<?x4xi32>
  %t = moek.verify_routing %i experts(8) : tensor<?x4xi32>
  // CHECK: moek.verify_routing %{{.*}} experts(8) : memref<?x4xi32>
  %b = moek.verify_routing %m experts(8) : memref<?x4xi32>
  return %t, %b : i1, i1
}

// -----

func.func @rank(%i: tensor<?xi32>) -> i1 {
  // expected-error@+1 {{'indices' must have rank 2, got 'tensor<?xi32>'}}
  %t = moek.verify_routing %i experts(8) : tensor<?xi32>
  return %t : i1
}

// -----

func.func @slots(%i: tensor<?x?xi32>) -> i1 {
  // expected-error@+1 {{the number of slots must be static and at least 1, got 'tensor<?x?xi32>'}}
  %t = moek.verify_routing %i experts(8) : tensor<?x?xi32>
  return %t : i1
}
