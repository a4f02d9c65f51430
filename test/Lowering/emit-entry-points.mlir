// RUN: moe-opt %s --moek-assign-workspace --moek-outline-parallel --moek-emit-entry-points=suffix=__v9 --canonicalize --split-input-file --verify-diagnostics | FileCheck %s

// CHECK: module attributes {moe.interfaces = [{
// CHECK-SAME: arguments = [{dtype = "f32", name = "x", shape = ["T", 8]}, {dtype = "u8", name = "w", packed = {columns = 32 : i64}, shape = [2048]}]
// CHECK-SAME: invoke = "layer__invoke"
// CHECK-SAME: name = "layer"
// CHECK-SAME: results = [{dtype = "f32", name = "y", shape = ["T", 8]}]
// CHECK-SAME: sizes = ["T"]
// CHECK-SAME: workspace = {{\[\[}}1, 64], [4, 128], [16, 512], [64, 2048], [512, 16384], [4096, 131072], [65536, 2097152]], workspace_growth = 32

// CHECK: llvm.func internal @moe_report(
// CHECK: llvm.func @moe_rt_default() -> !llvm.ptr

// A bad size needs no bytes.
// CHECK: llvm.func hidden @layer_workspace_bytes__v9(%[[T:.*]]: i64) -> i64
// CHECK: llvm.icmp "ugt" %[[T]]
// CHECK: call @layer__workspace

// Everything is checked, then the body is called.
// CHECK: llvm.func hidden @layer__v9(%[[RT:.*]]: !llvm.ptr, %[[T:.*]]: i64, %[[X:.*]]: !llvm.ptr, %[[W:.*]]: !llvm.ptr, %[[Y:.*]]: !llvm.ptr, %[[WS:.*]]: !llvm.ptr, %[[BYTES:.*]]: i64) -> i32
// CHECK: llvm.call @moe_rt_default()
// Of another version, or smaller than this one began: before any hook is read.
// CHECK: %[[OTHER:.*]] = llvm.icmp "ne" %{{.*}}, %{{.*}} : i32
// CHECK: %[[SMALL:.*]] = llvm.icmp "ult" %{{.*}}, %{{.*}} : i64
// CHECK: llvm.or %[[OTHER]], %[[SMALL]]
// CHECK: llvm.icmp "ugt" %[[T]]
// CHECK: llvm.ptrtoint %[[X]]
// CHECK: llvm.ptrtoint %[[W]]
// CHECK: llvm.ptrtoint %[[Y]]
// CHECK: call @layer__workspace
// CHECK: llvm.icmp "ult" %[[BYTES]]
// CHECK: llvm.ptrtoint %[[WS]]
// CHECK: call @layer__body
// CHECK: func.func private @layer__body
func.func @layer(%x: memref<?x8xf32> {moe.name = "x", moe.dims = ["T"]},
                 %w: memref<16x32xf32> {moe.name = "w", moe.packed = {columns = 32 : i64}},
                 %y: memref<?x8xf32> {moe.name = "y", moe.dims = ["T"], moe.role = "result"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %t = memref.alloc(%n) : memref<?x8xf32>
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %x[%i, %c0] : memref<?x8xf32>
    memref.store %v, %t[%i, %c0] : memref<?x8xf32>
  }
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    %v = memref.load %t[%i, %c0] : memref<?x8xf32>
    memref.store %v, %y[%i, %c0] : memref<?x8xf32>
  }
  return
}

// -----

// expected-error@+1 {{an entry function cannot be called by another function}}
func.func @called(%x: memref<4xf32> {moe.name = "x"}) { return }
func.func @caller(%x: memref<4xf32> {moe.name = "x"}) {
  call @called(%x) : (memref<4xf32>) -> ()
  return
}

// -----

// expected-error@+1 {{'func.func' op returns values; run moek-results-to-arguments first}}
func.func @returns(%x: memref<4xf32> {moe.name = "x"}) -> memref<4xf32> {
  return %x : memref<4xf32>
}
