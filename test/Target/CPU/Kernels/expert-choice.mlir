// RUN: moe-opt %s --convert-moek-to-vector --canonicalize | FileCheck %s

// Keys, then for each group of 16 experts 32 rounds of counting, one more, and
// the choice. The only condition is which group it is.

// CHECK-LABEL: @choose
// CHECK-SAME: (%{{.*}}: index, %[[SCORES:.*]]: memref<?x20xf32>, %[[INDICES:.*]]: memref<?x20xi32>)
func.func @choose(%c: index, %scores: memref<?x20xf32>, %indices: memref<?x20xi32>) {
  // CHECK: scf.parallel
  // CHECK: scf.for
  // CHECK: vector.load %[[SCORES]]{{.*}} : memref<?x20xf32>, vector<16xf32>
  // CHECK: vector.load %[[SCORES]]{{.*}} : memref<?x20xf32>, vector<4xf32>
  // CHECK: scf.parallel (%[[GROUP:.*]]) =
  // CHECK: %[[FULL:.*]] = arith.cmpi {{.*}} %[[GROUP]]
  // CHECK: scf.if %[[FULL]]
  // CHECK: scf.for %{{.*}} = %c0 to %c32
  // CHECK: scf.for
  // CHECK: arith.cmpi sge, %{{.*}} : vector<16xi32>
  // CHECK: arith.cmpi sgt, %{{.*}} : vector<16xi32>
  // CHECK: vector.store %{{.*}}, %[[INDICES]]{{.*}} : memref<?x20xi32>, vector<16xi32>
  // CHECK: %[[REST:.*]] = arith.cmpi {{.*}} %[[GROUP]]
  // CHECK: scf.if %[[REST]]
  // CHECK: vector.store %{{.*}}, %[[INDICES]]{{.*}} : memref<?x20xi32>, vector<4xi32>
  // CHECK-NOT: scf.if
  // CHECK: return
  moek.expert_choice capacity(%c) ins(%scores : memref<?x20xf32>) outs(%indices : memref<?x20xi32>)
  return
}
