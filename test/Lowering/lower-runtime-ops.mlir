// RUN: moe-opt %s --moek-lower-runtime-ops --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-DAG: llvm.mlir.global internal constant @[[NAME:.*]]("layer\00")
// CHECK-DAG: llvm.mlir.global internal constant @[[PHASE:.*]]("experts\00")

// CHECK-LABEL: func.func @layer(
// CHECK-SAME: %[[RT:[^:]*]]: !llvm.ptr {moe.role = "runtime"}
// num_threads is the second field of moe_rt.
// CHECK: %[[P:.*]] = llvm.getelementptr %[[RT]][4]
// CHECK: %[[N:.*]] = llvm.load %[[P]] : !llvm.ptr -> i32
// CHECK: arith.index_cast %[[N]] : i32 to index
// Nothing but a test without a hook.
// CHECK: %[[H:.*]] = llvm.getelementptr %[[RT]][32]
// CHECK-NEXT: %[[HOOK:.*]] = llvm.load %[[H]]
// CHECK: %[[SET:.*]] = llvm.icmp "ne" %[[HOOK]]
// CHECK-NEXT: scf.if %[[SET]] {
// An event says how large it is.
// CHECK:   %[[SIZE:.*]] = llvm.mlir.constant(72 : i32)
// CHECK:   %[[FIELD:.*]] = llvm.getelementptr %[[EVENT:.*]][4]
// CHECK:   llvm.store %[[SIZE]], %[[FIELD]]
// CHECK:   llvm.call %[[HOOK]](%[[RT]], %[[EVENT]])
// CHECK: }
// CHECK: scf.if
// CHECK:   memref.dim
// CHECK:   memref.extract_aligned_pointer_as_index
func.func @layer(%offsets: memref<9xi32>, %indices: memref<?x2xi32>, %weights: memref<?x2xf32>, %out: memref<index>) {
  %n = moe_rt.num_threads
  memref.store %n, %out[] : memref<index>
  moe_rt.trace "begin" "experts"
  moe_rt.trace "routing" "route"(%offsets, %indices, %weights : memref<9xi32>, memref<?x2xi32>, memref<?x2xf32>)
  return
}

// -----

func.func private @helper() {
  // expected-error@+1 {{'moe_rt.num_threads' op needs the runtime, which only public entry functions have}}
  %n = moe_rt.num_threads
  return
}

// -----

func.func @kind() {
  // expected-error@+1 {{'moe_rt.trace' op has unknown kind 'middle'; use begin, end or routing}}
  moe_rt.trace "middle" "experts"
  return
}
