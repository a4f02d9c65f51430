// Rules that the interpreter of kernels checks, broken, and some kept that are easily
// taken for broken: what nothing orders.

// Two blocks write the same byte.
// RUN: not moe-interpret --gpu %s --entry=writers --random=1 2>&1 | FileCheck %s --check-prefix=WRITERS
// WRITERS: error: {{.*}}'llvm.store': race: writes byte 0 of 'y', which block {{[01]}}, warp 0 writes in the same launch
// WRITERS: note: 'llvm.store': the write
// A block reads what another one writes.
// RUN: not moe-interpret --gpu %s --entry=readers --random=1 2>&1 | FileCheck %s --check-prefix=READERS
// READERS: error: {{.*}}race: {{.*}} of 'y', which block {{[01]}}, warp 0 {{reads|writes}} in the same launch
// So do two warps of a block.
// RUN: not moe-interpret --gpu %s --entry=warps --random=1 2>&1 | FileCheck %s --check-prefix=WARPS
// WARPS: error: {{.*}}race: {{reads|writes}} byte {{.*}} of 'y', which block 0, warp {{[01]}} writes in the same launch
// And where a read before was in order: it is the last one that counts.
// RUN: not moe-interpret --gpu %s --entry=again --random=1 2>&1 | FileCheck %s --check-prefix=AGAIN
// AGAIN: error: {{.*}}race: {{reads|writes}} byte {{.*}} of 'y', which block 0, warp {{[01]}} {{reads|writes}} in the same launch
// Two warps exchange words, with a barrier between.
// RUN: moe-interpret --gpu %s --entry=exchange --random=1 -o %t.safetensors
// And without.
// RUN: not moe-interpret --gpu %s --entry=exchanged --random=1 2>&1 | FileCheck %s --check-prefix=EXCHANGED
// EXCHANGED: error: {{.*}}race: {{reads|writes}} byte {{.*}} of shared memory, and nothing orders it behind a {{read|write}} of it
// Lanes of a warp do so with a barrier of their own.
// RUN: moe-interpret --gpu %s --entry=lanes --random=1 -o %t.safetensors
// They are not in step by themselves.
// RUN: not moe-interpret --gpu %s --entry=step --random=1 2>&1 | FileCheck %s --check-prefix=STEP
// STEP: error: {{.*}}kernel 'step', block 0, thread 0: 'llvm.load': race: reads byte 4 of shared memory, which another lane of the warp writes, without a bar.warp.sync between
// STEP: note: 'llvm.store': the write
// Nor in one instruction: two of them write a word.
// RUN: not moe-interpret --gpu %s --entry=together --random=1 2>&1 | FileCheck %s --check-prefix=TOGETHER
// TOGETHER: error: {{.*}}thread 1: 'llvm.store': race: writes byte 0 of 'y', which block 0, warp 0 writes in the same launch
// With less memory than they need.
// RUN: not moe-interpret --gpu %s --entry=small --random=1 2>&1 | FileCheck %s --check-prefix=SMALL
// SMALL: error: {{.*}}uses 4 bytes at byte 128 of shared memory, of which the block has 128

module {
  module @kernels {
    llvm.mlir.global external @dynamic_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
    llvm.func @copy(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @readers(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %block = nvvm.read.ptx.sreg.ctaid.x : i32
      %is = arith.cmpi eq, %block, %c0 : i32
      scf.if %is {
        llvm.store %thread, %to : i32, !llvm.ptr<1>
      } else {
        %v = llvm.load %to : !llvm.ptr<1> -> i32
      }
      llvm.return
    }
    llvm.func @warps(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %mask = arith.constant 127 : i32
      %low = arith.andi %at, %mask : i32
      %there = llvm.getelementptr %y[%low] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      llvm.store %thread, %there : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @again(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c4 = arith.constant 4 : i32
      %c32 = arith.constant 32 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %mask = arith.constant 127 : i32
      %low = arith.andi %at, %mask : i32
      %there = llvm.getelementptr %y[%low] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %first = arith.cmpi slt, %thread, %c32 : i32
      scf.if %first {
        %v = llvm.load %there : !llvm.ptr<1> -> i32
      }
      nvvm.barrier0
      scf.if %first {
        %v = llvm.load %there : !llvm.ptr<1> -> i32
      } else {
        llvm.store %thread, %there : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @exchange(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %mask = arith.constant 127 : i32
      %low = arith.andi %at, %mask : i32
      %mask2 = arith.constant 128 : i32
      %other = arith.xori %at, %mask2 : i32
      %s = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %o = llvm.getelementptr %base[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %thread, %s : i32, !llvm.ptr<3>
      nvvm.barrier0
      %v = llvm.load %o : !llvm.ptr<3> -> i32
      %c32 = arith.constant 32 : i32
      %first = arith.cmpi slt, %thread, %c32 : i32
      scf.if %first {
        llvm.store %v, %to : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @exchanged(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %mask = arith.constant 127 : i32
      %low = arith.andi %at, %mask : i32
      %mask2 = arith.constant 128 : i32
      %other = arith.xori %at, %mask2 : i32
      %s = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %o = llvm.getelementptr %base[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %thread, %s : i32, !llvm.ptr<3>
      %v = llvm.load %o : !llvm.ptr<3> -> i32
      %c32 = arith.constant 32 : i32
      %first = arith.cmpi slt, %thread, %c32 : i32
      scf.if %first {
        llvm.store %v, %to : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @lanes(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %other = arith.xori %at, %c4 : i32
      %s = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %o = llvm.getelementptr %base[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %thread, %s : i32, !llvm.ptr<3>
      nvvm.bar.warp.sync %all : i32
      %v = llvm.load %o : !llvm.ptr<3> -> i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @step(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %other = arith.xori %at, %c4 : i32
      %s = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %o = llvm.getelementptr %base[%other] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %thread, %s : i32, !llvm.ptr<3>
      %v = llvm.load %o : !llvm.ptr<3> -> i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @together(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %c120 = arith.constant 120 : i32
      %pair = arith.andi %at, %c120 : i32
      %there = llvm.getelementptr %y[%pair] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      llvm.store %thread, %there : i32, !llvm.ptr<1>
      llvm.return
    }
  }
  func.func @writers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "copy" blocks(%two) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @readers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "readers" blocks(%two) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @warps(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "warps" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @again(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "again" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @exchange(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "exchange" blocks(%one) threads(64) shared(256) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @exchanged(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "exchanged" blocks(%one) threads(64) shared(256) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @lanes(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "lanes" blocks(%one) threads(32) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @step(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "step" blocks(%one) threads(32) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @together(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "together" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @small(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "exchange" blocks(%one) threads(64) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
}
