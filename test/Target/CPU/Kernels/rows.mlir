// RUN: moe-opt %s --convert-moek-to-vector --canonicalize --cse | FileCheck %s

// Rows in blocks for the threads; each row in vectors, times its weight.

// CHECK-LABEL: @gather
// CHECK-SAME: (%[[X:[a-z0-9]*]]: memref<?x64xf32>, %[[TOKENS:[a-z0-9]*]]: memref<?xi32>, %[[OFFSETS:[a-z0-9]*]]: memref<9xi32>, %[[W:[a-z0-9]*]]: memref<?xf32>, %[[ROWS:[a-z0-9]*]]:
func.func @gather(%x: memref<?x64xf32>, %tokens: memref<?xi32>, %offsets: memref<9xi32>,
                  %w: memref<?xf32>, %rows: memref<?x64xf32>) {
  // CHECK: %[[COUNT:.*]] = memref.load %[[OFFSETS]][%c8]
  // CHECK: moe_rt.trace "begin" "gather"
  // CHECK: scf.parallel
  // CHECK: scf.for %[[ROW:.*]] =
  // CHECK: memref.load %[[TOKENS]][%[[ROW]]]
  // CHECK: %[[TOKEN:.*]] = arith.index_cast
  // CHECK: memref.load %[[W]][%[[ROW]]]
  // CHECK: scf.for %[[K:.*]] = %c0 to %c64 step %c16
  // CHECK: %[[V:.*]] = vector.load %[[X]][%[[TOKEN]], %[[K]]]
  // CHECK: %[[S:.*]] = arith.mulf %[[V]]
  // CHECK: vector.store %[[S]], %[[ROWS]][%[[ROW]], %[[K]]]
  // CHECK: moe_rt.trace "end" "gather"
  moek.gather ins(%x, %tokens, %offsets : memref<?x64xf32>, memref<?xi32>, memref<9xi32>)
    row_weights(%w : memref<?xf32>) outs(%rows : memref<?x64xf32>)
  return
}

// Slots in ascending order, one accumulator a vector of columns; `init` is added
// to their sum.

// CHECK-LABEL: @combine
// CHECK-SAME: (%{{.*}}: memref<?x64xf32>, %[[POSITIONS:[a-z0-9]*]]: memref<?x2xi32>, %{{.*}}: memref<?x2xf32>, %[[X:[a-z0-9]*]]: memref<?x64xf32>, %[[Y:[a-z0-9]*]]: memref<?x64xf32>)
func.func @combine(%rows: memref<?x64xf32>, %positions: memref<?x2xi32>, %w: memref<?x2xf32>,
                   %x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  // CHECK: scf.parallel
  // CHECK: scf.for %[[T:.*]] =
  // CHECK: %[[SUM:.*]]:4 = scf.for %[[SLOT:.*]] = %c0 to %c2 step %c1
  // CHECK: %[[P:.*]] = memref.load %[[POSITIONS]][%[[T]], %[[SLOT]]]
  // CHECK: %[[USED:.*]] = arith.cmpi sge, %[[P]], %c0_i32
  // CHECK: scf.if %[[USED]]
  // CHECK-COUNT-4: vector.fma
  // CHECK: %[[I:.*]] = vector.load %[[X]][%[[T]], %c0]
  // CHECK: %[[R:.*]] = arith.addf %[[SUM]]#0, %[[I]]
  // CHECK: vector.store %[[R]], %[[Y]][%[[T]], %c0]
  moek.combine ins(%rows, %positions : memref<?x64xf32>, memref<?x2xi32>)
    slot_weights(%w : memref<?x2xf32>) init(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>)
  return
}
