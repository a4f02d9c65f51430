// RUN: moe-opt %s --convert-moek-to-vector --canonicalize --cse | FileCheck %s

#fma = #moe_cpu.schedule<fma, lanes = 16, rows = 14, block_rows = 64, chunk = 4096, run = 65536, prefetch = [<rows = 4>, <rows = 16, ahead = [8192], levels = [2]>]>

// The product with the router's weights, the choice for 16 tokens at once, counts
// by blocks of tokens, a prefix sum, and the lists. The trace comes last.

// CHECK-LABEL: func @route
// CHECK: moe_rt.trace "begin" "route"
// CHECK: scf.parallel
// CHECK: func.call @moek_fma_x16_pitch320_rows14
// CHECK: scf.parallel
// CHECK: memref.alloca() {{.*}} : memref<2x16xi32>
// CHECK-NOT: scf.if
// CHECK: scf.parallel
// CHECK: scf.for {{.*}} -> (i32, i32)
// CHECK: scf.parallel
// CHECK: moe_rt.trace "end" "route"
// CHECK: moe_rt.trace "routing" "route"
func.func @route(%x: memref<?x64xf32>, %wr: memref<1x1x64x32x1xf32>, %b: memref<8xf32>,
                 %i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>, %a: memref<9xi32>,
                 %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_k<2> experts(8)
      logits(%x, %wr : memref<?x64xf32>, memref<1x1x64x32x1xf32>) vectors(%b : memref<8xf32>)
      schedule(#moe_cpu.route_schedule<lanes = 16, logits = #fma>)
      outs(%i, %w, %o, %a, %t, %p, %r : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
      scores {
      ^bb0(%z: vector<8xf32>, %c: vector<8xf32>):
        %s = arith.addf %z, %c : vector<8xf32>
        moek.yield %s, %z : vector<8xf32>, vector<8xf32>
      } weigh {
      ^bb0(%v: vector<2xf32>):
        moek.yield %v : vector<2xf32>
      }
  return
}

// One compare a score, 64 tokens at once; whoever has no expert gets the best. The
// words become lists by compressing.

// CHECK-LABEL: func @mask
// CHECK: memref.alloc{{.*}} : memref<8x?xi64>
// CHECK: scf.parallel
// CHECK: arith.cmpf ogt, {{.*}} : vector<64xf32>
// CHECK: scf.parallel
// CHECK: llvm.experimental.vector.compress
// CHECK: moe_rt.trace "end" "route"
func.func @mask(%s: memref<?x8xf32>, %g: memref<8xf32>,
                %i: memref<?x8xi32>, %w: memref<?x8xf32>, %o: memref<9xi32>, %a: memref<9xi32>,
                %t: memref<?xi32>, %p: memref<?x8xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_any<min_k = 1, fallback = one> experts(8)
      rows(%s : memref<?x8xf32>) using(%g : memref<8xf32>)
      schedule(#moe_cpu.route_schedule<lanes = 16, pack_by = compress>)
      outs(%i, %w, %o, %a, %t, %p, %r : memref<?x8xi32>, memref<?x8xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x8xi32>, memref<?xf32>)
      scores {
      ^bb0(%z: vector<8xf32>):
        moek.yield %z : vector<8xf32>
      } weigh {
      ^bb0(%v: vector<8xf32>, %u: vector<8xi1>):
        moek.yield %v : vector<8xf32>
      }
  return
}

// CHECK-LABEL: func @index
// CHECK-SAME: (%[[I:[a-z0-9]*]]: memref<?x2xi32>, %{{.*}}: memref<?x2xf32>, %[[O:[a-z0-9]*]]: memref<9xi32>, %[[A:[a-z0-9]*]]: memref<9xi32>
// CHECK: %[[COUNTS:.*]] = memref.alloc{{.*}} : memref<?x9xi32>
// CHECK: scf.parallel
// CHECK: memref.load %[[I]]
// Indices beyond the last expert are counted apart.
// CHECK: arith.cmpi ult, %{{.*}}, %c8_i32
// CHECK: memref.store %{{.*}}, %[[COUNTS]]
// CHECK: scf.for {{.*}} -> (i32, i32)
// CHECK: memref.store %{{.*}}, %[[O]]
// CHECK: memref.store %{{.*}}, %[[A]]
// CHECK: scf.parallel
// CHECK-NOT: scf.if
// CHECK: return
func.func @index(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>, %a: memref<9xi32>,
                 %t: memref<?xi32>, %p: memref<?x2xi32>, %r: memref<?xf32>) {
  moek.index experts(8) ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>)
    outs(%o, %a, %t, %p, %r : memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>)
  return
}

// First come, first served: slot by slot, and in a slot token by token.

// CHECK-LABEL: func @limit
// CHECK-SAME: (%[[I:[a-z0-9]*]]: memref<?x2xi32>, %{{.*}}: memref<?x2xf32>, %[[A:[a-z0-9]*]]: memref<?x2xi32>, %[[B:[a-z0-9]*]]: memref<?x2xf32>)
// CHECK: %[[TAKEN:.*]] = memref.alloc{{.*}} : memref<?x8xi32>
// CHECK: scf.parallel
// CHECK: scf.for %[[SLOT:.*]] = %c0 to %c2
// CHECK: scf.for %[[TOKEN:.*]] =
// CHECK: memref.load %[[I]][%{{.*}}, %[[SLOT]]]
// CHECK: %[[ROOM:.*]] = arith.cmpi slt, %{{.*}}, %c4_i32
// CHECK: memref.store %{{.*}}, %[[TAKEN]]
// CHECK: arith.select %{{.*}}, %{{.*}}, %c-1_i32
// CHECK: memref.store %{{.*}}, %[[A]]
// CHECK: memref.store %{{.*}}, %[[B]]
// CHECK-NOT: scf.if
// CHECK: return
func.func @limit(%i: memref<?x2xi32>, %w: memref<?x2xf32>, %a: memref<?x2xi32>, %b: memref<?x2xf32>) {
  moek.limit experts(8) drop(position) capacity(4)
      ins(%i, %w : memref<?x2xi32>, memref<?x2xf32>) outs(%a, %b : memref<?x2xi32>, memref<?x2xf32>)
  return
}

// exp once; then rounds of both sums, blocks of tokens in parallel, until the
// change is small.

// CHECK-LABEL: func @sinkhorn
// CHECK: scf.parallel
// CHECK: math.exp {{.*}} : vector<16xf32>
// CHECK: scf.while
// CHECK: scf.parallel
// CHECK: arith.divf
// CHECK: scf.condition
// CHECK: scf.parallel
// CHECK: return
func.func @sinkhorn(%z: memref<?x64xf32>, %e: memref<?x64xf32>) {
  moek.sinkhorn iterations(30) tolerance(1.0e-4) ins(%z : memref<?x64xf32>) outs(%e : memref<?x64xf32>)
  return
}
