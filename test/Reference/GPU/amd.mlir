// What single instructions of AMD's do, on small kernels by hand, and rules of theirs,
// broken. Expected values are worked out from AMD's documents of CDNA 3 and CDNA 4.

// RUN: moe-interpret --gpu %s --entry=exchanges --random=1 --print | FileCheck %s --check-prefix=EXCHANGES
// RUN: moe-interpret --gpu %s --entry=shallow --random=1 --print | FileCheck %s --check-prefix=PRODUCT
// RUN: moe-interpret --gpu %s --entry=deep --random=1 --print | FileCheck %s --check-prefix=PRODUCT
// RUN: moe-interpret --gpu %s --entry=masked --random=1 --print | FileCheck %s --check-prefix=MASKED
// RUN: moe-interpret --gpu %s --entry=ordered --random=1 --print | FileCheck %s --check-prefix=ORDERED

// Lane 37: that with bit 4 changed, 53; number 9 of its half, 41; number 3 of all. The
// upper word of a vote of lanes from 40 on. The first lane of all, and of those.
// EXCHANGES: y: i32[6] [53, 41, 3, -256, 0, 40]

// A is 2 at (9, 6), which lane 9 + 32 has in element 2, and of a depth of 16 at (9, 13),
// in element 5; B is 3 at (6, 5) or (13, 5), which lane 5 + 32 has. So D is 6 at (9, 5),
// which lane 5 has in register 5 (and 1 is added there).
// PRODUCT: y: f32[4] [1, 7, 1, 1]

// Of 64 lanes, which have addresses from y on, lane 2 alone stores its number.
// MASKED: y: i32[4] [7, 7, 2, 7]

// The second wavefront's word, written before a barrier with its fences.
// ORDERED: y: i32[1] [64]

// Without one of them it may be anything.
// RUN: sed '/fence.* release/d' %s > %t.mlir
// RUN: not moe-interpret --gpu %t.mlir --entry=ordered --random=1 2>&1 | FileCheck %s --check-prefix=UNORDERED
// RUN: sed '/fence.* acquire/d' %s > %t.mlir
// RUN: not moe-interpret --gpu %t.mlir --entry=ordered --random=1 2>&1 | FileCheck %s --check-prefix=UNORDERED
// UNORDERED: error: {{.*}}kernel 'ordered', block 0, thread {{[0-9]+}}: 'llvm.load': {{.*}}nothing orders it behind a write of it
// A lane that is not there gives 0, and nobody means that.
// RUN: not moe-interpret --gpu %s --entry=absent --random=1 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: error: {{.*}}thread 0: 'rocdl.ds_swizzle': reads lane 16, which does not execute it
// A product takes all lanes, whichever execute it.
// RUN: not moe-interpret --gpu %s --entry=half --random=1 2>&1 | FileCheck %s --check-prefix=HALF
// HALF: error: {{.*}}warp 0: 'rocdl.mfma.f32.32x32x8bf16.1k': is executed by lanes 0xffffffff alone, and multiplies what all have
// RUN: not moe-interpret --gpu %s --entry=part --random=1 2>&1 | FileCheck %s --check-prefix=PART
// PART: error: {{.*}}'rocdl.s.barrier': is executed by lanes 0xffffffff alone: all of a wavefront have to
// A mask is in scalar registers.
// RUN: not moe-interpret --gpu %s --entry=masks --random=1 2>&1 | FileCheck %s --check-prefix=MASKS
// MASKS: error: {{.*}}thread 1: 'llvm.inline_asm': has a mask that is not the same in all lanes

module {
  module @kernels {
    llvm.mlir.global external @dynamic_shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<0 x i8>
    llvm.func @exchanges(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c0 = arith.constant 0 : i32
      %c12 = arith.constant 12 : i32
      %c37 = arith.constant 37 : i32
      %c40 = arith.constant 40 : i32
      %c50 = arith.constant 50 : i32
      %c288 = arith.constant 288 : i32
      %c16415 = arith.constant 16415 : i32
      %other = rocdl.ds_swizzle %lane, %c16415 : (i32, i32) -> i32
      %ninth = rocdl.ds_swizzle %lane, %c288 : (i32, i32) -> i32
      %third = rocdl.ds_bpermute %c12, %lane : (i32, i32) -> i32
      %from40 = arith.cmpi sge, %lane, %c40 : i32
      %votes = rocdl.ballot %from40 : i64
      %by = arith.constant 32 : i64
      %upper = arith.shrui %votes, %by : i64
      %word = arith.trunci %upper : i64 to i32
      %first = rocdl.readfirstlane %lane : i32
      %is0 = arith.cmpi eq, %lane, %c37 : i32
      scf.if %is0 {
        %to0 = llvm.getelementptr %y[0] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %other, %to0 : i32, !llvm.ptr<1>
      }
      %is1 = arith.cmpi eq, %lane, %c37 : i32
      scf.if %is1 {
        %to1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %ninth, %to1 : i32, !llvm.ptr<1>
      }
      %is2 = arith.cmpi eq, %lane, %c37 : i32
      scf.if %is2 {
        %to2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %third, %to2 : i32, !llvm.ptr<1>
      }
      %is3 = arith.cmpi eq, %lane, %c37 : i32
      scf.if %is3 {
        %to3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %word, %to3 : i32, !llvm.ptr<1>
      }
      %is4 = arith.cmpi eq, %lane, %c37 : i32
      scf.if %is4 {
        %to4 = llvm.getelementptr %y[16] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %first, %to4 : i32, !llvm.ptr<1>
      }
      scf.if %from40 {
        %own = rocdl.readfirstlane %lane : i32
        %is = arith.cmpi eq, %lane, %c50 : i32
        scf.if %is {
          %to = llvm.getelementptr %y[20] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
          llvm.store %own, %to : i32, !llvm.ptr<1>
        }
      }
      llvm.return
    }
    llvm.func @shallow(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c0 = arith.constant 0 : i32
      %c5 = arith.constant 5 : i32
      %c37 = arith.constant 37 : i32
      %c41 = arith.constant 41 : i32
      %at = arith.constant 2 : i32
      %none = arith.constant dense<0> : vector<4xi16>
      %zero = arith.constant 0 : i16
      %two = arith.constant 16384 : i16
      %three = arith.constant 16448 : i16
      %ones = arith.constant dense<1.0> : vector<16xf32>
      %is41 = arith.cmpi eq, %lane, %c41 : i32
      %is37 = arith.cmpi eq, %lane, %c37 : i32
      %a = arith.select %is41, %two, %zero : i16
      %b = arith.select %is37, %three, %zero : i16
      %left = llvm.insertelement %a, %none[%at : i32] : vector<4xi16>
      %right = llvm.insertelement %b, %none[%at : i32] : vector<4xi16>
      %d = rocdl.mfma.f32.32x32x8bf16.1k %left, %right, %ones, %c0, %c0, %c0 : (vector<4xi16>, vector<4xi16>, vector<16xf32>, i32, i32, i32) -> vector<16xf32>
      %r4 = arith.constant 4 : i32
      %d4 = llvm.extractelement %d[%r4 : i32] : vector<16xf32>
      %r5 = arith.constant 5 : i32
      %d5 = llvm.extractelement %d[%r5 : i32] : vector<16xf32>
      %r6 = arith.constant 6 : i32
      %d6 = llvm.extractelement %d[%r6 : i32] : vector<16xf32>
      %r7 = arith.constant 7 : i32
      %d7 = llvm.extractelement %d[%r7 : i32] : vector<16xf32>
      %is0 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is0 {
        %to0 = llvm.getelementptr %y[0] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d4, %to0 : f32, !llvm.ptr<1>
      }
      %is1 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is1 {
        %to1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d5, %to1 : f32, !llvm.ptr<1>
      }
      %is2 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is2 {
        %to2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d6, %to2 : f32, !llvm.ptr<1>
      }
      %is3 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is3 {
        %to3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d7, %to3 : f32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @deep(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c0 = arith.constant 0 : i32
      %c5 = arith.constant 5 : i32
      %c37 = arith.constant 37 : i32
      %c41 = arith.constant 41 : i32
      %at = arith.constant 5 : i32
      %none = arith.constant dense<0.0> : vector<8xbf16>
      %zero = arith.constant 0.0 : bf16
      %two = arith.constant 2.0 : bf16
      %three = arith.constant 3.0 : bf16
      %ones = arith.constant dense<1.0> : vector<16xf32>
      %is41 = arith.cmpi eq, %lane, %c41 : i32
      %is37 = arith.cmpi eq, %lane, %c37 : i32
      %a = arith.select %is41, %two, %zero : bf16
      %b = arith.select %is37, %three, %zero : bf16
      %left = llvm.insertelement %a, %none[%at : i32] : vector<8xbf16>
      %right = llvm.insertelement %b, %none[%at : i32] : vector<8xbf16>
      %d = rocdl.mfma.f32.32x32x16.bf16 %left, %right, %ones, %c0, %c0, %c0 : (vector<8xbf16>, vector<8xbf16>, vector<16xf32>, i32, i32, i32) -> vector<16xf32>
      %r4 = arith.constant 4 : i32
      %d4 = llvm.extractelement %d[%r4 : i32] : vector<16xf32>
      %r5 = arith.constant 5 : i32
      %d5 = llvm.extractelement %d[%r5 : i32] : vector<16xf32>
      %r6 = arith.constant 6 : i32
      %d6 = llvm.extractelement %d[%r6 : i32] : vector<16xf32>
      %r7 = arith.constant 7 : i32
      %d7 = llvm.extractelement %d[%r7 : i32] : vector<16xf32>
      %is0 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is0 {
        %to0 = llvm.getelementptr %y[0] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d4, %to0 : f32, !llvm.ptr<1>
      }
      %is1 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is1 {
        %to1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d5, %to1 : f32, !llvm.ptr<1>
      }
      %is2 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is2 {
        %to2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d6, %to2 : f32, !llvm.ptr<1>
      }
      %is3 = arith.cmpi eq, %lane, %c5 : i32
      scf.if %is3 {
        %to3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d7, %to3 : f32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @masked(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c2 = arith.constant 2 : i32
      %c4 = arith.constant 4 : i32
      %c7 = arith.constant 7 : i32
      %at = arith.muli %lane, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %below4 = arith.cmpi slt, %lane, %c4 : i32
      scf.if %below4 {
        llvm.store %c7, %to : i32, !llvm.ptr<1>
      }
      %is2 = arith.cmpi eq, %lane, %c2 : i32
      %mask = rocdl.ballot %is2 : i64
      %exec = llvm.inline_asm has_side_effects "s_and_saveexec_b64 $0, $1\0A\09global_store_dword $2, $3, off\0A\09s_mov_b64 exec, $0", "=&s,s,v,v,~{scc},~{memory}" %mask, %to, %lane : (i64, !llvm.ptr<1>, i32) -> i64
      llvm.return
    }
    llvm.func @masks(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c4 = arith.constant 4 : i32
      %at = arith.muli %lane, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %mask = arith.extui %lane : i32 to i64
      %exec = llvm.inline_asm has_side_effects "s_and_saveexec_b64 $0, $1\0A\09global_store_dword $2, $3, off\0A\09s_mov_b64 exec, $0", "=&s,s,v,v,~{scc},~{memory}" %mask, %to, %lane : (i64, !llvm.ptr<1>, i32) -> i64
      llvm.return
    }
    llvm.func @ordered(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 128, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c0 = arith.constant 0 : i32
      %c64 = arith.constant 64 : i32
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %is64 = arith.cmpi eq, %lane, %c64 : i32
      scf.if %is64 {
        llvm.store %lane, %base : i32, !llvm.ptr<3>
      }
      llvm.fence syncscope("workgroup") release
      rocdl.s.barrier
      llvm.fence syncscope("workgroup") acquire
      %is0 = arith.cmpi eq, %lane, %c0 : i32
      scf.if %is0 {
        %word = llvm.load %base : !llvm.ptr<3> -> i32
        llvm.store %word, %y : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @absent(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c4 = arith.constant 4 : i32
      %c16415 = arith.constant 16415 : i32
      %below4 = arith.cmpi slt, %lane, %c4 : i32
      scf.if %below4 {
        %other = rocdl.ds_swizzle %lane, %c16415 : (i32, i32) -> i32
        llvm.store %other, %y : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @half(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c0 = arith.constant 0 : i32
      %c32 = arith.constant 32 : i32
      %none = arith.constant dense<0> : vector<4xi16>
      %ones = arith.constant dense<1.0> : vector<16xf32>
      %below = arith.cmpi slt, %lane, %c32 : i32
      scf.if %below {
        %d = rocdl.mfma.f32.32x32x8bf16.1k %none, %none, %ones, %c0, %c0, %c0 : (vector<4xi16>, vector<4xi16>, vector<16xf32>, i32, i32, i32) -> vector<16xf32>
        %d0 = llvm.extractelement %d[%c0 : i32] : vector<16xf32>
        llvm.store %d0, %y : f32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @part(%y: !llvm.ptr<1>) attributes {rocdl.kernel, rocdl.reqd_work_group_size = array<i32: 64, 1, 1>} {
      %lane = rocdl.workitem.id.x : i32
      %c32 = arith.constant 32 : i32
      %below = arith.cmpi slt, %lane, %c32 : i32
      scf.if %below {
        rocdl.s.barrier
      }
      llvm.return
    }
  }
  func.func @exchanges(%y: memref<6xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "exchanges" blocks(%one) threads(64) shared(0) args(%y : memref<6xi32>) boxes = [0]
    return
  }
  func.func @shallow(%y: memref<4xf32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "shallow" blocks(%one) threads(64) shared(0) args(%y : memref<4xf32>) boxes = [0]
    return
  }
  func.func @deep(%y: memref<4xf32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "deep" blocks(%one) threads(64) shared(0) args(%y : memref<4xf32>) boxes = [0]
    return
  }
  func.func @masked(%y: memref<4xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "masked" blocks(%one) threads(64) shared(0) args(%y : memref<4xi32>) boxes = [0]
    return
  }
  func.func @masks(%y: memref<64xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "masks" blocks(%one) threads(64) shared(0) args(%y : memref<64xi32>) boxes = [0]
    return
  }
  func.func @ordered(%y: memref<1xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "ordered" blocks(%one) threads(128) shared(16) args(%y : memref<1xi32>) boxes = [0]
    return
  }
  func.func @absent(%y: memref<1xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "absent" blocks(%one) threads(64) shared(0) args(%y : memref<1xi32>) boxes = [0]
    return
  }
  func.func @half(%y: memref<1xf32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "half" blocks(%one) threads(64) shared(0) args(%y : memref<1xf32>) boxes = [0]
    return
  }
  func.func @part(%y: memref<1xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "part" blocks(%one) threads(64) shared(0) args(%y : memref<1xi32>) boxes = [0]
    return
  }
}
