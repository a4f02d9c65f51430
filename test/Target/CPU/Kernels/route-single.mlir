// RUN: moe-opt %s --convert-moek-to-vector --canonicalize --cse | FileCheck %s

// Up to 2 tokens that are left over from vectors of 16 have their experts in
// lanes.

func.func @few(%s: memref<?x300xf32>,
               %i: memref<?x9xi32>, %w: memref<?x9xf32>, %o: memref<301xi32>, %a: memref<301xi32>,
               %t: memref<?xi32>, %p: memref<?x9xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_k<9> experts(300)
      rows(%s : memref<?x300xf32>)
      schedule(#moe_cpu.route_schedule<lanes = 16, single = 2>)
      outs(%i, %w, %o, %a, %t, %p, %r : memref<?x9xi32>, memref<?x9xf32>, memref<301xi32>, memref<301xi32>, memref<?xi32>, memref<?x9xi32>, memref<?xf32>)
      scores {
      ^bb0(%z: vector<300xf32>):
        moek.yield %z, %z : vector<300xf32>, vector<300xf32>
      } weigh {
      ^bb0(%v: vector<9xf32>):
        %sum = vector.reduction <add>, %v : vector<9xf32> into f32
        %all = vector.broadcast %sum : f32 to vector<9xf32>
        %q = arith.divf %v, %all : vector<9xf32>
        moek.yield %q : vector<9xf32>
      }
  return
}
// CHECK-LABEL: func @few
// CHECK: %[[LEFT:.*]] = arith.remui %{{.*}}, %c16
// CHECK: %[[REST:.*]] = arith.subi %[[LEFT]], %c1
// CHECK: %[[FEW:.*]] = arith.cmpi ult, %[[REST]], %c2
// CHECK: %[[LESS:.*]] = arith.{{select|index_castui}}{{.*}}%[[FEW]]
// CHECK: %[[BLOCKS:.*]] = arith.subi %{{.*}}, %[[LESS]]
// CHECK: scf.parallel
// Vectors of tokens: each expert is inserted.
// CHECK: %[[END:.*]] = arith.minui %{{.*}}, %[[BLOCKS]]
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]]
// CHECK: scf.for %{{.*}} = %c0 to %c300 {{.*}}iter_args
// Tokens: keys, the largest of each chunk of two vectors, and nine rounds that
// look at one chunk each. 12 experts are the rest of the vectors.
// CHECK: %[[FIRST:.*]] = arith.maxui %{{.*}}, %[[BLOCKS]]
// CHECK: %[[BEGIN:.*]] = arith.muli %[[FIRST]], %c16
// CHECK: scf.for %[[TOKEN:.*]] = %[[BEGIN]] to
// CHECK: vector.maskedload %{{.*}}[%[[TOKEN]], %c288]
// CHECK: %[[KEYS:.*]] = memref.alloca() {{.*}} : memref<336xi32>
// CHECK: scf.for %{{.*}} = %c0 to %c10 {{.*}}iter_args({{.*}}) -> (vector<16xi32>)
// CHECK: scf.for %{{.*}} = %c0 to %c9 {{.*}}iter_args({{.*}}) -> (vector<16xi32>)
// CHECK-COUNT-4: vector.shuffle {{.*}} : vector<16xi32>, vector<16xi32>
// CHECK: math.cttz %{{.*}} : i64
// CHECK: vector.load %[[KEYS]]
// CHECK: math.cttz %{{.*}} : i64
// CHECK: vector.store %{{.*}}, %[[KEYS]]
// CHECK-COUNT-4: vector.shuffle {{.*}} : vector<16xi32>, vector<16xi32>
// The sum of the weights is in the order of slots.
// CHECK-COUNT-8: arith.addf %{{.*}} : f32
// CHECK: arith.divf %{{.*}} : vector<16xf32>
// CHECK: vector.maskedstore %{{.*}}[%[[TOKEN]], %c0]
// CHECK-NOT: scf.if
// CHECK: moe_rt.trace "end" "route"

// With as many as there are lanes, no token is in a vector of tokens. Four
// vectors need no chunks, and groups are ranked beside each other.

func.func @all(%s: memref<?x64xf32>,
               %i: memref<?x4xi32>, %w: memref<?x4xf32>, %o: memref<65xi32>, %a: memref<65xi32>,
               %t: memref<?xi32>, %p: memref<?x4xi32>, %r: memref<?xf32>) {
  moek.route #moe.group_top_k<4, groups = 8, keep = 2, reduce = top2> experts(64)
      rows(%s : memref<?x64xf32>)
      schedule(#moe_cpu.route_schedule<lanes = 16, single = 16>)
      outs(%i, %w, %o, %a, %t, %p, %r : memref<?x4xi32>, memref<?x4xf32>, memref<65xi32>, memref<65xi32>, memref<?xi32>, memref<?x4xi32>, memref<?xf32>)
      scores {
      ^bb0(%z: vector<64xf32>):
        moek.yield %z, %z : vector<64xf32>, vector<64xf32>
      } weigh {
      ^bb0(%v: vector<4xf32>):
        moek.yield %v : vector<4xf32>
      }
  return
}
// CHECK-LABEL: func @all
// CHECK-NOT: memref<64x16xf32>
// CHECK: scf.parallel
// CHECK-NOT: memref<64x16xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c8
// CHECK: scf.for %{{.*}} = %c0 to %c8 {{.*}} -> (vector<16xi32>)
// CHECK: scf.for %{{.*}} = %c0 to %c4 {{.*}} -> (vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>)
// CHECK-NOT: scf.if
// CHECK: moe_rt.trace "end" "route"
