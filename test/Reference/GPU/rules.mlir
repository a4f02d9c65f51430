// Each rule that the interpreter of kernels checks, broken, and some kept that are
// easily taken for broken.

// What one launch writes, the next one may read.
// RUN: moe-interpret --gpu %s --entry=good --random=1 -o %t.safetensors
// Memory that nobody wrote, on its way into a result.
// RUN: not moe-interpret --gpu %s --entry=undefined --random=1 2>&1 | FileCheck %s --check-prefix=UNDEFINED
// UNDEFINED: error: {{.*}}kernel 'copy', block 0, thread 0: 'llvm.store': writes to 'y' what was made of memory that nobody wrote
// UNDEFINED: note: 'llvm.load': the last such read is here
// A result that is there in part.
// RUN: not moe-interpret --gpu %s --entry=unset --random=1 2>&1 | FileCheck %s --check-prefix=UNSET
// UNSET: error: {{.*}}no kernel has written element 1 of the result 'y'
// A branch on it.
// RUN: not moe-interpret --gpu %s --entry=branch --random=1 2>&1 | FileCheck %s --check-prefix=BRANCH
// BRANCH: error: {{.*}}'scf.if': the condition of a branch was made of memory that nobody wrote
// What is not selected may be anything.
// RUN: moe-interpret --gpu %s --entry=selected --random=1 -o %t.safetensors
// Behind the last byte: a thread too many.
// RUN: not moe-interpret --gpu %s --entry=bounds --random=1 2>&1 | FileCheck %s --check-prefix=BOUNDS
// BOUNDS: error: {{.*}}kernel 'wide', block 0, thread 32: 'llvm.load': reads 4 bytes out of bounds, at address {{.*}}: byte 128 of the 128 bytes of 'x'
// Four words at an address of one.
// RUN: not moe-interpret --gpu %s --entry=aligned --random=1 2>&1 | FileCheck %s --check-prefix=ALIGNED
// ALIGNED: error: {{.*}}thread 1: 'llvm.load': address {{.*}} is not a multiple of 16 bytes
// Inputs are no place to write to.
// RUN: not moe-interpret --gpu %s --entry=input --random=1 2>&1 | FileCheck %s --check-prefix=INPUT
// INPUT: error: {{.*}}'llvm.store': writes into the input 'x'
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
// An array of a thread's own, behind its end.
// RUN: not moe-interpret --gpu %s --entry=index --random=1 2>&1 | FileCheck %s --check-prefix=INDEX
// INDEX: error: {{.*}}thread 2: 'memref.load': index 2 is out of the bounds of 2 elements
// And an element that nobody has set.
// RUN: not moe-interpret --gpu %s --entry=empty --random=1 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: error: {{.*}}writes to 'y' what was made of memory that nobody wrote
// A division by what an active lane has as 0; others do not count.
// RUN: not moe-interpret --gpu %s --entry=zero --random=1 2>&1 | FileCheck %s --check-prefix=ZERO
// ZERO: error: {{.*}}kernel 'zero', block 0, thread 0: 'arith.divui': divides by 0
// A shift by all bits.
// RUN: not moe-interpret --gpu %s --entry=shift --random=1 2>&1 | FileCheck %s --check-prefix=SHIFT
// SHIFT: error: {{.*}}writes to 'y' what was made of memory that nobody wrote
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @first(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        llvm.store %v, %to : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @branch(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      %is = arith.cmpi eq, %v, %c0 : i32
      scf.if %is {
        llvm.store %v, %to : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @selected(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %w = llvm.load %to : !llvm.ptr<1> -> i32
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      %no = arith.constant false
      %s = arith.select %no, %w, %v : i32
      llvm.store %s, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @wide(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @aligned(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
      %e = llvm.extractelement %v[%c0 : i32] : vector<4xi32>
      llvm.store %e, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @readers(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %mask = arith.constant 127 : i32
      %low = arith.andi %at, %mask : i32
      %there = llvm.getelementptr %y[%low] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      llvm.store %thread, %there : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @exchange(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %c120 = arith.constant 120 : i32
      %pair = arith.andi %at, %c120 : i32
      %there = llvm.getelementptr %y[%pair] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      llvm.store %thread, %there : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @diverged(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        nvvm.barrier0
      }
      llvm.return
    }
    llvm.func @alone(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 64>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
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
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        %v = nvvm.shfl.sync idx %all, %thread, %c0, %c31 : i32 -> i32
      }
      llvm.return
    }
    llvm.func @registers(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 384>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      nvvm.setmaxregister increase 240
      llvm.return
    }
    llvm.func @nobarrier(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %b = llvm.getelementptr %base[8] : (!llvm.ptr<3>) -> !llvm.ptr<3>, i8
      %s = nvvm.mbarrier.arrive %b : !llvm.ptr<3> -> i64
      llvm.return
    }
    llvm.func @counted(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      %is = arith.cmpi eq, %thread, %c0 : i32
      scf.if %is {
        nvvm.mbarrier.init %base, %c31 : !llvm.ptr<3>, i32
      }
      nvvm.barrier0
      %s = nvvm.mbarrier.arrive %base : !llvm.ptr<3> -> i64
      llvm.return
    }
    llvm.func @index(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %array = memref.alloca() : memref<2xi32>
      %index = arith.index_cast %thread : i32 to index
      %v = memref.load %array[%index] : memref<2xi32>
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @empty(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %array = memref.alloca() : memref<2xi32>
      %index = arith.index_cast %c1 : i32 to index
      %v = memref.load %array[%index] : memref<2xi32>
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @zero(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %is = arith.cmpi ne, %thread, %c0 : i32
      scf.if %is {
        %fine = arith.divui %c4, %thread : i32
      }
      %v = arith.divui %c4, %thread : i32
      llvm.return
    }
    llvm.func @shift(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %c32 = arith.constant 32 : i32
      %v = arith.shli %thread, %c32 : i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @unknown(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.intr.bitreverse(%thread) : (i32) -> i32
      llvm.return
    }
    llvm.func @form(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %c31 = arith.constant 31 : i32
      %all = arith.constant -1 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      nvvm.inline_ptx "membar.gl;"
      llvm.return
    }
  }
  func.func @good(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%x, %w : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @undefined(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @unset(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "first" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @branch(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "branch" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @selected(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "selected" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @bounds(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "wide" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @aligned(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "aligned" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @input(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%x, %x : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @writers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "copy" blocks(%two) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @readers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "readers" blocks(%two) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @warps(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "warps" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @exchange(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "exchange" blocks(%one) threads(64) shared(256) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @exchanged(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "exchanged" blocks(%one) threads(64) shared(256) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @lanes(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "lanes" blocks(%one) threads(32) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @step(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "step" blocks(%one) threads(32) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @together(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "together" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @small(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "exchange" blocks(%one) threads(64) shared(128) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @diverged(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "diverged" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @alone(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "alone" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @absent(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "absent" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @registers(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "registers" blocks(%one) threads(384) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @nobarrier(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "nobarrier" blocks(%one) threads(32) shared(16) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @counted(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "counted" blocks(%one) threads(32) shared(16) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @missing(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "nobody" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @index(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "index" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @empty(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "empty" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @zero(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "zero" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @shift(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "shift" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @unknown(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "unknown" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @form(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "form" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @huge(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(300000) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @threads(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %two = arith.constant 2 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
}
