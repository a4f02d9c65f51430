// The tokens up to which one after another is faster than a vector of them: the
// more, the more experts and slots there are. With more slots than registers, the
// vector is never faster.
//
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v3 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V3
// RUN: moe-opt %s --moe-set-target=chip=x86-64-v4 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,V4
// RUN: moe-opt %s --moe-set-target=chip=aarch64 --moek-select-schedule | FileCheck %s --check-prefixes=CHECK,NEON

// CHECK-LABEL: @mixtral
// V3: route_schedule<lanes = 8>
// V4: route_schedule<lanes = 16>
// NEON: route_schedule<lanes = 4>
func.func @mixtral(%s: memref<?x8xf32>, %i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<9xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_k<2> experts(8) rows(%s : memref<?x8xf32>)
    outs(%i, %w, %o, %o, %t, %i, %r : memref<?x2xi32>, memref<?x2xf32>, memref<9xi32>, memref<9xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>) scores {
    ^bb0(%z: vector<8xf32>):
      moek.yield %z, %z : vector<8xf32>, vector<8xf32>
    } weigh {
    ^bb0(%v: vector<2xf32>):
      moek.yield %v : vector<2xf32>
    }
  return
}

// CHECK-LABEL: @qwen3
// V3: route_schedule<lanes = 8, single = 2>
// V4: route_schedule<lanes = 16, single = 2>
// NEON: route_schedule<lanes = 4, single = 2>
func.func @qwen3(%s: memref<?x128xf32>, %i: memref<?x8xi32>, %w: memref<?x8xf32>, %o: memref<129xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_k<8> experts(128) rows(%s : memref<?x128xf32>)
    outs(%i, %w, %o, %o, %t, %i, %r : memref<?x8xi32>, memref<?x8xf32>, memref<129xi32>, memref<129xi32>, memref<?xi32>, memref<?x8xi32>, memref<?xf32>) scores {
    ^bb0(%z: vector<128xf32>):
      moek.yield %z, %z : vector<128xf32>, vector<128xf32>
    } weigh {
    ^bb0(%v: vector<8xf32>):
      moek.yield %v : vector<8xf32>
    }
  return
}

// CHECK-LABEL: @deepseek_v3
// V3: route_schedule<lanes = 8, single = 3>
// V4: route_schedule<lanes = 16, single = 3>
// NEON: route_schedule<lanes = 4, single = 3>
func.func @deepseek_v3(%s: memref<?x256xf32>, %i: memref<?x8xi32>, %w: memref<?x8xf32>, %o: memref<257xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  moek.route #moe.group_top_k<8, groups = 8, keep = 4, reduce = top2> experts(256) rows(%s : memref<?x256xf32>)
    outs(%i, %w, %o, %o, %t, %i, %r : memref<?x8xi32>, memref<?x8xf32>, memref<257xi32>, memref<257xi32>, memref<?xi32>, memref<?x8xi32>, memref<?xf32>) scores {
    ^bb0(%z: vector<256xf32>):
      moek.yield %z, %z : vector<256xf32>, vector<256xf32>
    } weigh {
    ^bb0(%v: vector<8xf32>):
      moek.yield %v : vector<8xf32>
    }
  return
}

// CHECK-LABEL: @many_slots
// V3: route_schedule<lanes = 8, single = 8>
// V4: route_schedule<lanes = 16, single = 16>
// NEON: route_schedule<lanes = 4, single = 4>
func.func @many_slots(%s: memref<?x512xf32>, %i: memref<?x22xi32>, %w: memref<?x22xf32>, %o: memref<513xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  moek.route #moe.top_k<22> experts(512) rows(%s : memref<?x512xf32>)
    outs(%i, %w, %o, %o, %t, %i, %r : memref<?x22xi32>, memref<?x22xf32>, memref<513xi32>, memref<513xi32>, memref<?xi32>, memref<?x22xi32>, memref<?xf32>) scores {
    ^bb0(%z: vector<512xf32>):
      moek.yield %z, %z : vector<512xf32>, vector<512xf32>
    } weigh {
    ^bb0(%v: vector<22xf32>):
      moek.yield %v : vector<22xf32>
    }
  return
}

// Not every policy has a form for one token.

// CHECK-LABEL: @sparse_mixer
// V3: route_schedule<lanes = 8>
// V4: route_schedule<lanes = 16>
// NEON: route_schedule<lanes = 4>
func.func @sparse_mixer(%s: memref<?x128xf32>, %i: memref<?x2xi32>, %w: memref<?x2xf32>, %o: memref<129xi32>, %t: memref<?xi32>, %r: memref<?xf32>) {
  moek.route #moe.sparse_mixer<eps = 0.01> experts(128) rows(%s : memref<?x128xf32>)
    outs(%i, %w, %o, %o, %t, %i, %r : memref<?x2xi32>, memref<?x2xf32>, memref<129xi32>, memref<129xi32>, memref<?xi32>, memref<?x2xi32>, memref<?xf32>) scores {
    ^bb0(%z: vector<128xf32>):
      moek.yield %z : vector<128xf32>
    } weigh {
    ^bb0(%v: vector<2xf32>):
      moek.yield %v : vector<2xf32>
    }
  return
}
