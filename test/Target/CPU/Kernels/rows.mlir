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

// The slots of a token in the order of their rows: those used, and then each at
// the place that the number of smaller ones tells. One accumulator a vector of
// columns; `init` is added to their sum.

// CHECK-LABEL: @combine
// CHECK-SAME: (%{{.*}}: memref<?x64xf32>, %[[POSITIONS:[a-z0-9]*]]: memref<?x2xi32>, %[[WEIGHTS:[a-z0-9]*]]: memref<?x2xf32>, %[[X:[a-z0-9]*]]: memref<?x64xf32>, %[[Y:[a-z0-9]*]]: memref<?x64xf32>)
// CHECK: scf.parallel
// CHECK: scf.for %[[T:.*]] =
// CHECK: %[[COUNT:.*]] = scf.for %[[SLOT:.*]] = %c0 to %c2 step %c1 iter_args(%[[N:.*]] = %c0)
// CHECK: %[[P:.*]] = memref.load %[[POSITIONS]][%[[T]], %[[SLOT]]]
// CHECK: %[[USED:.*]] = arith.cmpi ult, %[[P]]
// CHECK: memref.store %{{.*}}, %[[FOUND:.*]][%[[N]]]
// CHECK: scf.for %{{.*}} = %c0 to %[[COUNT]]
// CHECK: vector.load %[[FOUND]]
// CHECK: arith.cmpi ult
// CHECK: vector.reduction <add>
// CHECK: memref.store %{{.*}}, %[[SORTED:.*]][%[[RANK:.*]]]
// CHECK: %[[SUM:.*]]:4 = scf.for %[[I:.*]] = %c0 to %[[COUNT]] step %c1
// CHECK: memref.load %[[SORTED]][%[[I]]]
// CHECK-COUNT-4: vector.fma
// CHECK: %[[V:.*]] = vector.load %[[X]][%[[T]], %c0]
// CHECK: %[[R:.*]] = arith.addf %[[SUM]]#0, %[[V]]
// CHECK: vector.store %[[R]], %[[Y]][%[[T]], %c0]
func.func @combine(%rows: memref<?x64xf32>, %positions: memref<?x2xi32>, %w: memref<?x2xf32>,
                   %x: memref<?x64xf32>, %y: memref<?x64xf32>) {
  moek.combine ins(%rows, %positions : memref<?x64xf32>, memref<?x2xi32>)
    slot_weights(%w : memref<?x2xf32>) init(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>)
  return
}

// Of a window: sums go on behind the first, and `init` comes with the last.

// CHECK-LABEL: @combine_window
// CHECK-SAME: %[[FROM:[a-z0-9]*]]: index, %[[ALL:[a-z0-9]*]]: index)
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[FROM]], %c0
// CHECK: %[[END:.*]] = arith.addi %[[FROM]]
// CHECK: %[[LAST:.*]] = arith.cmpi uge, %[[END]], %[[ALL]]
// CHECK: scf.parallel
// CHECK: arith.subi
// CHECK: arith.cmpi ult
// CHECK: arith.ori %[[FIRST]], %[[LAST]]
// CHECK: scf.if
// CHECK: scf.if %[[FIRST]]
// CHECK: vector.load
// CHECK: vector.fma
// CHECK: scf.if
// CHECK: arith.addf
func.func @combine_window(%rows: memref<?x64xf32>, %positions: memref<?x2xi32>, %x: memref<?x64xf32>,
                          %y: memref<?x64xf32>, %from: index, %all: index) {
  moek.combine ins(%rows, %positions : memref<?x64xf32>, memref<?x2xi32>) from(%from of %all)
    init(%x : memref<?x64xf32>) outs(%y : memref<?x64xf32>)
  return
}

// A window of all rows is a copy; of others, each expert's rows are cut to it.

// CHECK-LABEL: @window
// CHECK-SAME: (%[[FROM:[a-z0-9]*]]: index, %[[OFFSETS:[a-z0-9]*]]: memref<9xi32>, %[[ACTIVE:[a-z0-9]*]]: memref<9xi32>, %[[TOKENS:[a-z0-9]*]]: memref<?xi32>, %[[O:[a-z0-9]*]]: memref<9xi32>, %[[A:[a-z0-9]*]]: memref<9xi32>, %[[T:[a-z0-9]*]]: memref<?xi32>)
// CHECK: memref.load %[[OFFSETS]][%c8]
// CHECK: scf.if
// CHECK: memref.load %[[OFFSETS]]
// CHECK: memref.load %[[ACTIVE]]
// CHECK: else
// CHECK: scf.for %[[E:.*]] = %c0 to %c8 step %c1 iter_args(%{{.*}}, %[[N:.*]] = %c0)
// CHECK: arith.maxui %{{.*}}, %[[FROM]]
// CHECK: arith.minui
// CHECK: memref.store %{{.*}}, %[[O]][%[[E]]]
// CHECK: memref.store %{{.*}}, %[[A]][%[[N]]]
// CHECK: memref.store %{{.*}}, %[[A]][%c8]
// CHECK: memref.load %[[TOKENS]]
// CHECK: memref.store %{{.*}}, %[[T]]
func.func @window(%from: index, %offsets: memref<9xi32>, %active: memref<9xi32>, %tokens: memref<?xi32>,
                  %o: memref<9xi32>, %a: memref<9xi32>, %t: memref<?xi32>) {
  moek.window from(%from) ins(%offsets, %active, %tokens : memref<9xi32>, memref<9xi32>, memref<?xi32>)
    outs(%o, %a, %t : memref<9xi32>, memref<9xi32>, memref<?xi32>)
  return
}

// One loop over the columns for what comes before a reduction and one for what
// comes after it; the last columns under a mask, where the reduction sees its
// identity. The row's expert is that of the groups, and what is one value a row
// is computed once.

// CHECK-LABEL: @row_map
// CHECK-SAME: (%[[X:[a-z0-9]*]]: memref<?x72xf32>, %[[G:[a-z0-9]*]]: memref<8x72xf32>, %[[TOKENS:[a-z0-9]*]]: memref<?xi32>, %[[OFFSETS:[a-z0-9]*]]: memref<9xi32>, %[[ROWS:[a-z0-9]*]]: memref<?x80xbf16>, %[[N:[a-z0-9]*]]: memref<?xf32>)
func.func @row_map(%x: memref<?x72xf32>, %g: memref<8x72xf32>, %tokens: memref<?xi32>, %offsets: memref<9xi32>,
                   %rows: memref<?x80xbf16>, %n: memref<?xf32>) {
  // CHECK: moe_rt.trace "begin" "rows"
  // CHECK: memref.load %[[OFFSETS]][%c0]
  // CHECK: memref.load %[[OFFSETS]][%c8]
  // CHECK: scf.parallel
  // CHECK: scf.for %[[E:.*]] = %c0 to %c8
  // CHECK: scf.for %[[ROW:.*]] =
  // CHECK: memref.load %[[TOKENS]][%[[ROW]]]
  // CHECK: %[[TOKEN:.*]] = arith.index_cast
  // CHECK: %[[SUM:.*]] = scf.for %[[C:.*]] = %c0 to %c64 step %c16
  // CHECK: vector.load %[[X]][%[[TOKEN]], %[[C]]]
  // CHECK: %[[MASK:.*]] = vector.{{create_mask|constant_mask}}
  // CHECK: %[[LAST:.*]] = vector.maskedload %[[X]][%[[TOKEN]], %c64], %[[MASK]]
  // CHECK: %[[Q:.*]] = arith.mulf %[[LAST]], %[[LAST]]
  // CHECK: arith.select %[[MASK]], %[[Q]]
  // CHECK: vector.reduction <add>, %{{.*}} : vector<16xf32> into f32
  // CHECK: %[[R:.*]] = math.rsqrt %{{.*}} : f32
  // CHECK: scf.for %[[C2:.*]] = %c0 to %c64 step %c16
  // CHECK: vector.load %[[G]][%[[E]], %[[C2]]]
  // CHECK: %[[T:.*]] = arith.truncf
  // CHECK: vector.store %[[T]], %[[ROWS]][%[[ROW]], %[[C2]]]
  // Padding is zeros.
  // CHECK: arith.select
  // CHECK: vector.store %{{.*}}, %[[ROWS]][%[[ROW]], %c64]
  // CHECK: memref.store %[[R]], %[[N]][%[[ROW]]]
  // CHECK: moe_rt.trace "end" "rows"
  moek.row_map groups(%offsets : memref<9xi32>) tokens(%tokens : memref<?xi32>) gathered(%x : memref<?x72xf32>)
    parameters(%g : memref<8x72xf32>) outs(%rows, %n : memref<?x80xbf16>, memref<?xf32>) body {
    ^bb0(%v: vector<72xf32>, %c: vector<72xf32>):
      %q = arith.mulf %v, %v : vector<72xf32>
      %s = vector.reduction <add>, %q : vector<72xf32> into f32
      %r = math.rsqrt %s : f32
      %b = vector.broadcast %r : f32 to vector<72xf32>
      %m = arith.mulf %v, %b : vector<72xf32>
      %w = arith.mulf %m, %c : vector<72xf32>
      moek.yield %w, %r : vector<72xf32>, f32
    }
  return
}
