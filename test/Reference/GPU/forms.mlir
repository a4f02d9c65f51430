// Rules that the interpreter of kernels checks, broken, and some kept that are easily
// taken for broken: lanes and warps that do not come, and kernels that are none.

// A barrier that some lanes do not come to.
// RUN: not moe-interpret --gpu %s --entry=diverged --random=1 2>&1 | FileCheck %s --check-prefix=DIVERGED
// DIVERGED: error: {{.*}}'nvvm.barrier0': is executed by lanes 0x1 alone: all of a warp have to
// A barrier that a warp does not come to.
// RUN: not moe-interpret --gpu %s --entry=alone --random=1 2>&1 | FileCheck %s --check-prefix=ALONE
// ALONE: error: {{.*}}kernel 'alone', block 0: no warp can go on
// ALONE: note: warp 0 waits at 'nvvm.barrier0' for all warps of the block, of which 1 of 2 are there
// ALONE: note: the kernel has ended for warps 1
// A shuffle that names lanes which are elsewhere.
// RUN: not moe-interpret --gpu %s --entry=absent --random=1 2>&1 | FileCheck %s --check-prefix=ABSENT
// ABSENT: error: {{.*}}'nvvm.shfl.sync': names lanes 0xffffffff, of which 0x1 execute it
// More registers than others have given back.
// RUN: not moe-interpret --gpu %s --entry=registers --random=1 2>&1 | FileCheck %s --check-prefix=REGISTERS
// REGISTERS: note: warp {{[0-7]}} waits at 'nvvm.setmaxregister' for {{[0-9]+}} registers, of which {{[0-9]+}} are free
// A barrier that nobody made.
// RUN: not moe-interpret --gpu %s --entry=nobarrier --random=1 2>&1 | FileCheck %s --check-prefix=NOBARRIER
// NOBARRIER: error: {{.*}}there is no barrier at byte 8 of shared memory
// More arrivals than a barrier counts.
// RUN: not moe-interpret --gpu %s --entry=counted --random=1 2>&1 | FileCheck %s --check-prefix=COUNTED
// COUNTED: error: {{.*}}'nvvm.mbarrier.arrive': a phase of 31 arrivals is over before all lanes of the warp have arrived
// A kernel that is not there.
// RUN: not moe-interpret --gpu %s --entry=missing --random=1 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: {{.*}}there is no kernel 'nobody' in a module @kernels
// An instruction that nobody knows.
// RUN: not moe-interpret --gpu %s --entry=unknown --random=1 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: {{.*}}'llvm.intr.bitreverse' is not known to the interpreter
// One in a form that nobody knows.
// RUN: not moe-interpret --gpu %s --entry=form --random=1 2>&1 | FileCheck %s --check-prefix=FORM
// FORM: error: {{.*}}'nvvm.inline_ptx' is known to the interpreter, but not in this form
// More memory than any device gives a block.
// RUN: not moe-interpret --gpu %s --entry=huge --random=1 2>&1 | FileCheck %s --check-prefix=HUGE
// HUGE: error: {{.*}}kernel 'copy' is started with 300000 bytes of shared memory, and a block has at most 232448
// Other blocks than it is made for.
// RUN: not moe-interpret --gpu %s --entry=threads --random=1 2>&1 | FileCheck %s --check-prefix=THREADS
// THREADS: error: {{.*}}kernel 'copy' is made for blocks of 32 threads, and started with 64

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
    llvm.func @diverged(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        nvvm.barrier0
      }
      llvm.return
    }
    llvm.func @alone(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c0 = arith.constant 0 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %c5 = arith.constant 5 : i32
      %warp = arith.shrui %thread, %c5 : i32
      %is = arith.cmpi eq, %warp, %c0 : i32
      scf.if %is {
        nvvm.barrier0
      }
      llvm.return
    }
    llvm.func @absent(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        %v = nvvm.shfl.sync idx %all, %thread, %c0, %c31 : i32 -> i32
      }
      llvm.return
    }
    llvm.func @registers(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 384>} {
      nvvm.setmaxregister increase 240
      llvm.return
    }
    llvm.func @nobarrier(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %b = llvm.getelementptr %base[8] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
      %s = nvvm.mbarrier.arrive %b : !llvm.ptr<3> -> i64
      llvm.return
    }
    llvm.func @counted(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c31 = arith.constant 31 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        nvvm.mbarrier.init %base, %c31 : !llvm.ptr<3>, i32
      }
      nvvm.barrier0
      %s = nvvm.mbarrier.arrive %base : !llvm.ptr<3> -> i64
      llvm.return
    }
    llvm.func @unknown(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %v = llvm.intr.bitreverse(%thread) : (i32) -> i32
      llvm.return
    }
    llvm.func @form(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      nvvm.inline_ptx "membar.gl;"
      llvm.return
    }
  }
  func.func @diverged(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "diverged" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @alone(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "alone" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @absent(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "absent" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @registers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "registers" blocks(%one) threads(384) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @nobarrier(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "nobarrier" blocks(%one) threads(32) shared(16) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @counted(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "counted" blocks(%one) threads(32) shared(16) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @missing(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "nobody" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @unknown(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "unknown" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @form(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "form" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @huge(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(300000) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @threads(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
}
