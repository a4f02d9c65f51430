// RUN: moe-opt %s --moek-results-to-arguments | FileCheck %s --check-prefix=RESULTS
// RUN: moe-opt %s --moek-results-to-arguments --moe-stage-runtime | FileCheck %s --check-prefix=RUNTIME
// RUN: moe-opt %s --moek-results-to-arguments --moe-stage-runtime --convert-scf-to-cf --moek-lower-checks | FileCheck %s
// RUN: not moe-opt %s --moek-lower-checks 2>&1 | FileCheck %s --check-prefix=ORDER
// ORDER: 'moe_rt.check' op has nobody to report to; run moek-lower-runtime-ops and moek-emit-entry-points before this pass

// A result that is touched before the last check is kept back until it passed.
// RESULTS-LABEL: func.func @early(
// RESULTS-SAME: , %[[Y:[^:]*]]: memref<?xf32> {{{.*}}moe.role = "result"}
// RESULTS: %[[A:.*]] = memref.alloc
// RESULTS: memref.store %{{.*}}, %[[A]]
// RESULTS: moe_rt.check
// RESULTS: memref.store %{{.*}}, %[[A]]
// RESULTS: memref.copy %[[A]], %[[Y]]

// The body returns a status, which the entry point hands on.
// RUNTIME: llvm.func @early(
// RUNTIME: %[[S:.*]] = {{(func.)?}}call @early__body
// RUNTIME: llvm.return %[[S]] : i32
// RUNTIME: func.func private @early__body(%[[RT:[^:]*]]: !llvm.ptr, {{.*}}) -> i32
// RUNTIME: moe_rt.check %{{.*}}, bad_value, "early: the first is not positive" runtime(%[[RT]] : !llvm.ptr)
// RUNTIME: %[[OK:.*]] = llvm.mlir.constant(0 : i32)
// RUNTIME: return %[[OK]]

// CHECK-LABEL: func.func private @early__body(
// CHECK-SAME: %[[RT:[^:]*]]: !llvm.ptr
// CHECK: %[[OK:.*]] = arith.cmpf
// CHECK: cf.cond_br %[[OK]], ^[[NEXT:.*]], ^[[FAIL:.*]]
// CHECK: ^[[FAIL]]:
// CHECK-DAG: %[[CODE:.*]] = llvm.mlir.constant(8 : i32)
// CHECK-DAG: %[[TEXT:.*]] = llvm.mlir.addressof @moe_check
// CHECK: %[[R:.*]] = llvm.call @moe_report(%[[RT]], %[[CODE]], %[[TEXT]])
// CHECK: return %[[R]]
func.func @early(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) -> (memref<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %y = memref.alloc(%n) : memref<?xf32>
  %v = memref.load %x[%c0] : memref<?xf32>
  memref.store %v, %y[%c0] : memref<?xf32>
  %ok = arith.cmpf ogt, %v, %zero : f32
  moe_rt.check %ok, bad_value, "the first is not positive"
  memref.store %zero, %y[%c0] : memref<?xf32>
  return %y : memref<?xf32>
}

// RESULTS-LABEL: func.func @late(
// RESULTS-SAME: , %[[Y:[^:]*]]: memref<?xf32> {{{.*}}moe.role = "result"}
// RESULTS-NOT: memref.alloc
// RESULTS: moe_rt.check
// RESULTS: memref.store %{{.*}}, %[[Y]]
// RESULTS-NOT: memref.copy

// A check in a loop.
// CHECK-LABEL: func.func private @late__body(
// CHECK: cf.cond_br
// CHECK: llvm.call @moe_report
// CHECK: return
func.func @late(%x: memref<?xf32> {moe.name = "x", moe.dims = ["T"]}) -> (memref<?xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  %y = memref.alloc(%n) : memref<?xf32>
  scf.for %i = %c0 to %n step %c1 {
    %v = memref.load %x[%i] : memref<?xf32>
    %ok = arith.cmpf oge, %v, %zero : f32
    moe_rt.check %ok, bad_value, "one is negative"
  }
  memref.store %zero, %y[%c0] : memref<?xf32>
  return %y : memref<?xf32>
}
