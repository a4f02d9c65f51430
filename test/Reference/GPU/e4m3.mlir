// What instructions of E4M3 do, on small kernels by hand. Expected values are worked
// out from NVIDIA's manual of PTX.

// RUN: moe-interpret --gpu %s --entry=convert --random=1 --print | FileCheck %s --check-prefix=CONVERT
// RUN: moe-interpret --gpu %s --entry=product --random=1 --print | FileCheck %s --check-prefix=PRODUCT
// RUN: sed 's/D .<f32>, <one>/D [<f32>, <zero>/' %s > %t.anew.mlir
// RUN: moe-interpret --gpu %t.anew.mlir --entry=product --random=1 --print | FileCheck %s --check-prefix=ANEW
// RUN: sed 's/rnd = #nvvm.fp_rnd_mode<rn>, //' %s > %t.mlir
// RUN: not moe-interpret --gpu %t.mlir --entry=convert --random=1 2>&1 | FileCheck %s --check-prefix=OTHER

// The first operand is the upper byte. 1 is 0x38 and -2 0xc0: 0x38c0. 1.0625 is in
// the middle between 1 and 1.125, of which 1 is even; 1.1875 is in the middle, too,
// and 1.25 even, 0x3a: 0x383a. 464 and infinity become 448, 0x7e7e. NaN is 0x7f, and
// 2^-10 the middle of 0 and the smallest number: 0x7f00.
// CONVERT: y: i32[4] [14528, 14394, 32382, 32512]

// A is 1 at (9, 20) alone and B is 3 at (20, 5), so that the product is 3 at (9, 5):
// row 9 and column 5 are those of lane 6, in element 3. Row 9 is the second of its
// eight, so the second 16 bytes of it change places with the first, and row 5 of B
// is the sixth: its second 16 bytes are where the fifth were. 1 is added there.
// PRODUCT: y: f32[4] [1, 1, 1, 4]

// Without the sums that were.
// ANEW: y: f32[4] [0, 0, 0, 3]

// OTHER: error: {{.*}}nvvm.convert.f32x2.to.f8x2

module {
  module @kernels {
    llvm.mlir.global external @dynamic_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
    llvm.func @convert(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 4>} {
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c2 = arith.constant 2 : i32
      %is0 = arith.cmpi eq, %lane, %c0 : i32
      %is1 = arith.cmpi eq, %lane, %c1 : i32
      %is2 = arith.cmpi eq, %lane, %c2 : i32
      %a0 = arith.constant 1.0 : f32
      %b0 = arith.constant -2.0 : f32
      %a1 = arith.constant 1.0625 : f32
      %b1 = arith.constant 1.1875 : f32
      %a2 = arith.constant 464.0 : f32
      %b2 = arith.constant 0x7F800000 : f32
      %a3 = arith.constant 0xFFC00000 : f32
      %b3 = arith.constant 0x3A800000 : f32
      %a23 = arith.select %is2, %a2, %a3 : f32
      %a13 = arith.select %is1, %a1, %a23 : f32
      %a = arith.select %is0, %a0, %a13 : f32
      %b23 = arith.select %is2, %b2, %b3 : f32
      %b13 = arith.select %is1, %b1, %b23 : f32
      %b = arith.select %is0, %b0, %b13 : f32
      %pair = nvvm.convert.f32x2.to.f8x2 %a, %b {rnd = #nvvm.fp_rnd_mode<rn>, sat = #nvvm.sat_mode<satfinite>} : i16 (f8E4M3FN)
      %wide = arith.extui %pair : i16 to i32
      %to = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %wide, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @product(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 128>} {
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c6 = arith.constant 6 : i32
      %words = arith.constant 2304 : i32
      %threads = arith.constant 128 : i32
      %shared = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      // Rows of A, 64 of 128 bytes, and of B, eight: nothing but zeros ...
      scf.for %i = %thread to %words step %threads : i32 {
        %to = llvm.getelementptr %shared[%i] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i32
        llvm.store %c0, %to : i32, !llvm.ptr<3>
      }
      nvvm.barrier0
      // ... but byte 20 of row 9 of A, and of row 5 of B.
      %first = arith.cmpi eq, %thread, %c0 : i32
      scf.if %first {
        %one = arith.constant 0x38 : i8
        %a = llvm.getelementptr %shared[1156] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
        llvm.store %one, %a : i8, !llvm.ptr<3>
        %three = arith.constant 0x44 : i8
        %b = llvm.getelementptr %shared[8900] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
        llvm.store %three, %b : i8, !llvm.ptr<3>
      }
      nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
      nvvm.barrier0
      // 1024 bytes from eight rows to the next, swizzled by 128 bytes.
      %rest = arith.constant 0x4000004000010000 : i64
      %number = llvm.ptrtoint %shared : !llvm.ptr<3> to i32
      %c4 = arith.constant 4 : i32
      %at = arith.shrui %number, %c4 : i32
      %wide = arith.extui %at : i32 to i64
      %lhs = arith.ori %wide, %rest : i64
      %ofB = arith.constant 512 : i64
      %rhs = arith.addi %lhs, %ofB : i64
      %f1 = arith.constant 1.0 : f32
      %s = llvm.mlir.poison : !llvm.struct<(f32, f32, f32, f32)>
      %s0 = llvm.insertvalue %f1, %s[0] : !llvm.struct<(f32, f32, f32, f32)>
      %s1 = llvm.insertvalue %f1, %s0[1] : !llvm.struct<(f32, f32, f32, f32)>
      %s2 = llvm.insertvalue %f1, %s1[2] : !llvm.struct<(f32, f32, f32, f32)>
      %s3 = llvm.insertvalue %f1, %s2[3] : !llvm.struct<(f32, f32, f32, f32)>
      nvvm.wgmma.fence.aligned
      %d = nvvm.wgmma.mma_async %lhs, %rhs, %s3, <m = 64, n = 8, k = 32>,
          D [<f32>, <one>], A [<e4m3>, <one>, <row>], B [<e4m3>, <one>, <col>]
          : !llvm.struct<(f32, f32, f32, f32)> -> !llvm.struct<(f32, f32, f32, f32)>
      nvvm.wgmma.commit.group.sync.aligned
      nvvm.wgmma.wait.group.sync.aligned 0
      %is = arith.cmpi eq, %thread, %c6 : i32
      scf.if %is {
        %d0 = llvm.extractvalue %d[0] : !llvm.struct<(f32, f32, f32, f32)>
        %d1 = llvm.extractvalue %d[1] : !llvm.struct<(f32, f32, f32, f32)>
        %d2 = llvm.extractvalue %d[2] : !llvm.struct<(f32, f32, f32, f32)>
        %d3 = llvm.extractvalue %d[3] : !llvm.struct<(f32, f32, f32, f32)>
        llvm.store %d0, %y : f32, !llvm.ptr<1>
        %y1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d1, %y1 : f32, !llvm.ptr<1>
        %y2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d2, %y2 : f32, !llvm.ptr<1>
        %y3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d3, %y3 : f32, !llvm.ptr<1>
      }
      llvm.return
    }
  }
  func.func @convert(%y: memref<4xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "convert" blocks(%one) threads(4) shared(0) args(%y : memref<4xi32>) boxes = [0]
    return
  }
  func.func @product(%y: memref<4xf32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "product" blocks(%one) threads(128) shared(9216) args(%y : memref<4xf32>) boxes = [0]
    return
  }
}
