// Rules that the interpreter of kernels checks, broken, and some kept that are easily
// taken for broken: what memory has, and where it ends.

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

module {
  module @kernels {
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
    llvm.func @first(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c4 = arith.constant 4 : i32
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
      %c4 = arith.constant 4 : i32
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
      %c4 = arith.constant 4 : i32
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
      %c4 = arith.constant 4 : i32
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
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %from = llvm.getelementptr %x[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %v = llvm.load %from : !llvm.ptr<1> -> vector<4xi32>
      %e = llvm.extractelement %v[%c0 : i32] : vector<4xi32>
      llvm.store %e, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @index(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %array = memref.alloca() : memref<2xi32>
      %index = arith.index_cast %thread : i32 to index
      %v = memref.load %array[%index] : memref<2xi32>
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @empty(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %array = memref.alloca() : memref<2xi32>
      %index = arith.index_cast %c1 : i32 to index
      %v = memref.load %array[%index] : memref<2xi32>
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @zero(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c0 = arith.constant 0 : i32
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %is = arith.cmpi ne, %thread, %c0 : i32
      scf.if %is {
        %fine = arith.divui %c4, %thread : i32
      }
      %v = arith.divui %c4, %thread : i32
      llvm.return
    }
    llvm.func @shift(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c4 = arith.constant 4 : i32
      %thread = nvvm.read.ptx.sreg.tid.x : i32
      %at = arith.muli %thread, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      %c32 = arith.constant 32 : i32
      %v = arith.shli %thread, %c32 : i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
  }
  func.func @good(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%x, %w : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @undefined(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @unset(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "first" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @branch(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    %w = memref.alloc() : memref<32xi32>
    moe_rt.launch @kernels "branch" blocks(%one) threads(32) shared(0) args(%w, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @selected(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "selected" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @bounds(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "wide" blocks(%one) threads(64) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @aligned(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "aligned" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @input(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "copy" blocks(%one) threads(32) shared(0) args(%x, %x : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @index(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "index" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @empty(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "empty" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @zero(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "zero" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
  func.func @shift(%x: memref<32xi32> {moe.name = "x"}, %y: memref<32xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "shift" blocks(%one) threads(32) shared(0) args(%x, %y : memref<32xi32>, memref<32xi32>) boxes = [0, 0]
    return
  }
}
