// RUN: moe-opt %s --verify-roundtrip | FileCheck %s
// RUN: moe-opt %s --emit-bytecode | moe-opt --allow-bytecode | FileCheck %s

// CHECK-LABEL: @hooks
func.func @hooks(%ok: i1, %offsets: memref<9xi32>, %indices: memref<?x2xi32>,
                 %weights: memref<?x2xf32>) -> index {
  // CHECK: moe_rt.check %{{.*}}, bad_routing, "argument 'indices'"
  moe_rt.check %ok, bad_routing, "argument 'indices'"
  // CHECK: %[[N:.*]] = moe_rt.num_threads
  %n = moe_rt.num_threads
  // CHECK: moe_rt.trace "begin" "route"
  moe_rt.trace "begin" "route"
  // CHECK: moe_rt.trace "routing" "route"(%{{.*}}, %{{.*}}, %{{.*}} : memref<9xi32>, memref<?x2xi32>, memref<?x2xf32>)
  moe_rt.trace "routing" "route" (%offsets, %indices, %weights
    : memref<9xi32>, memref<?x2xi32>, memref<?x2xf32>)
  // CHECK: return %[[N]]
  return %n : index
}
