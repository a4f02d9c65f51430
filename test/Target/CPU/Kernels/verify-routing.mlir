// RUN: moe-opt %s --convert-moek-to-vector --canonicalize | FileCheck %s

// Few slots: a row against itself rotated, no branch.
// CHECK-LABEL: @few(
// CHECK-NOT: scf.if
// CHECK: scf.for
// CHECK: vector.load {{.*}} vector<4xi32>
// CHECK: arith.cmpi ugt
// CHECK: vector.shuffle {{.*}} [1, 2, 3, 0]
// CHECK: vector.shuffle {{.*}} [2, 3, 0, 1]
// CHECK-NOT: vector.shuffle
// CHECK-NOT: scf.if
// CHECK: vector.reduction <or>
// CHECK: %[[OK:.*]] = arith.cmpi eq
// CHECK: moe_rt.check %[[OK]]
func.func @few(%i: memref<?x4xi32>) {
  %ok = moek.verify_routing %i experts(8) : memref<?x4xi32>
  moe_rt.check %ok, bad_routing, "bad"
  return
}

// Many: who had the expert last.
// CHECK-LABEL: @many(
// CHECK: memref.alloca() {{.*}} memref<65xi32>
// CHECK-NOT: scf.if
// CHECK: return
func.func @many(%i: memref<?x64xi32>) {
  %ok = moek.verify_routing %i experts(64) : memref<?x64xi32>
  moe_rt.check %ok, bad_routing, "bad"
  return
}
