// What single instructions do, on small kernels by hand. Expected values are
// worked out from NVIDIA's manual of PTX.

// RUN: moe-interpret --gpu %s --entry=shuffles --random=1 --print | FileCheck %s --check-prefix=SHUFFLES
// RUN: moe-interpret --gpu %s --entry=matrix --random=1 --print | FileCheck %s --check-prefix=MATRIX
// RUN: moe-interpret --gpu %s --entry=product --random=1 --print | FileCheck %s --check-prefix=PRODUCT
// RUN: moe-interpret --gpu %s --entry=loops --random=1 --print | FileCheck %s --check-prefix=LOOPS
// RUN: moe-interpret --gpu %s --entry=words --random=1 --print | FileCheck %s --check-prefix=WORDS
// RUN: moe-interpret --gpu %s --entry=names --random=1 --print | FileCheck %s --check-prefix=NAMES
// RUN: moe-interpret --gpu %s --entry=arrays --random=1 --print | FileCheck %s --check-prefix=ARRAYS

// Lane 5: the lane below by 2, above by 2, with bit 1 changed, lane 9; lane 1,
// below which there are no two, keeps its own.
// SHUFFLES: y: i32[8] [3, 7, 4, 9, 1, 31, -16, 1]

// The transposed one: lane 5 has elements (2, 1) and (3, 1) as columns 2 and 3.
// Element (r, c) is 8 r + c. Not transposed: row 1, columns 2 and 3.
// MATRIX: y: i32[4] [10, 11, 17, 25]

// A is 1 at (9, 12) alone, which lane 6 has in element 6; B is 3 at (12, 5),
// which lane 22 has in element 2; so C is 3 at (9, 5), which lane 6 has in
// element 3 (and 1 is added there).
// PRODUCT: y: f32[4] [1, 1, 1, 4]

// Lane l goes round l times in a for, and halves l to 0 in a while.
// LOOPS: y: i32[8] [0, 1, 2, 3, 0, 1, 2, 2]

// bf16 of 1 and 2 in a word, the low one first, and the high one again.
// WORDS: y: i32[2] [1073758080, 16384]

// With the names of the llvm dialect: (2 l + 3 < 8 ? 2 l + 3 : 40 / (l + 1)), of
// four lanes.
// NAMES: y: i32[4] [3, 5, 7, 10]

// Each lane puts 7 at its own index of an array of zeros, and sums up the array
// times the index: 7 l.
// ARRAYS: y: i32[4] [0, 7, 14, 21]

module {
  module @kernels {
    llvm.mlir.global external @dynamic_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
    llvm.func @shuffles(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %all = arith.constant -1 : i32
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c2 = arith.constant 2 : i32
      %c5 = arith.constant 5 : i32
      %c9 = arith.constant 9 : i32
      %c15 = arith.constant 15 : i32
      %c31 = arith.constant 31 : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %up = nvvm.shfl.sync up %all, %lane, %c2, %c0 : i32 -> i32
      %down = nvvm.shfl.sync down %all, %lane, %c2, %c31 : i32 -> i32
      %fly = nvvm.shfl.sync bfly %all, %lane, %c1, %c31 : i32 -> i32
      %idx = nvvm.shfl.sync idx %all, %lane, %c9, %c31 : i32 -> i32
      %high = arith.cmpi ugt, %lane, %c15 : i32
      %some = arith.cmpi eq, %lane, %c5 : i32
      %ballot = nvvm.vote.sync ballot %all, %high -> i32
      %low = arith.constant 16 : i32
      %count = llvm.intr.ctpop(%ballot) : (i32) -> i32
      %minus = arith.subi %c0, %count : i32
      %any = nvvm.vote.sync any %all, %some -> i1
      %anyWide = arith.extui %any : i1 to i32
      scf.if %some {
        llvm.store %up, %y : i32, !llvm.ptr<1>
        %p1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %down, %p1 : i32, !llvm.ptr<1>
        %p2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %fly, %p2 : i32, !llvm.ptr<1>
        %p3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %idx, %p3 : i32, !llvm.ptr<1>
        %p6 = llvm.getelementptr %y[24] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %minus, %p6 : i32, !llvm.ptr<1>
        %p7 = llvm.getelementptr %y[28] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %anyWide, %p7 : i32, !llvm.ptr<1>
      }
      %first = arith.cmpi eq, %lane, %c1 : i32
      scf.if %first {
        %p4 = llvm.getelementptr %y[16] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %up, %p4 : i32, !llvm.ptr<1>
      }
      %last = arith.cmpi eq, %lane, %c31 : i32
      scf.if %last {
        %p5 = llvm.getelementptr %y[20] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %down, %p5 : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @matrix(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %c2 = arith.constant 2 : i32
      %c5 = arith.constant 5 : i32
      %c7 = arith.constant 7 : i32
      %c16 = arith.constant 16 : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %base = llvm.mlir.addressof @dynamic_shared : !llvm.ptr<3>
      // Words of two elements of 16 bits: 2 l and 2 l + 1.
      %first = arith.muli %lane, %c2 : i32
      %one = arith.constant 1 : i32
      %second = arith.addi %first, %one : i32
      %upper = arith.shli %second, %c16 : i32
      %word = arith.ori %first, %upper : i32
      %four = arith.constant 4 : i32
      %at = arith.muli %lane, %four : i32
      %to = llvm.getelementptr %base[%at] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      llvm.store %word, %to : i32, !llvm.ptr<3>
      nvvm.barrier0
      %row = arith.andi %lane, %c7 : i32
      %offset = arith.muli %row, %c16 : i32
      %from = llvm.getelementptr %base[%offset] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8
      %plain = nvvm.ldmatrix %from {num = 1 : i32, layout = #nvvm.mma_layout<row>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> i32
      %turned = nvvm.ldmatrix %from {num = 1 : i32, layout = #nvvm.mma_layout<col>, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>, eltType = #nvvm.ld_st_matrix_elt_type<b16>} : (!llvm.ptr<3>) -> i32
      %mine = arith.cmpi eq, %lane, %c5 : i32
      %mask = arith.constant 65535 : i32
      scf.if %mine {
        %a = arith.andi %plain, %mask : i32
        %b = arith.shrui %plain, %c16 : i32
        %c = arith.andi %turned, %mask : i32
        %d = arith.shrui %turned, %c16 : i32
        llvm.store %a, %y : i32, !llvm.ptr<1>
        %p1 = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %b, %p1 : i32, !llvm.ptr<1>
        %p2 = llvm.getelementptr %y[8] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %c, %p2 : i32, !llvm.ptr<1>
        %p3 = llvm.getelementptr %y[12] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
        llvm.store %d, %p3 : i32, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @product(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 32>} {
      %zero = arith.constant 0 : i32
      %one = arith.constant 1.0 : f32
      %c6 = arith.constant 6 : i32
      %c22 = arith.constant 22 : i32
      // 1.0 as the low half, 3.0 as the low half.
      %bits1 = arith.constant 16256 : i32
      %bits3 = arith.constant 16448 : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %is6 = arith.cmpi eq, %lane, %c6 : i32
      %is22 = arith.cmpi eq, %lane, %c22 : i32
      %a3 = arith.select %is6, %bits1, %zero : i32
      %b1 = arith.select %is22, %bits3, %zero : i32
      %d = nvvm.mma.sync A[%zero, %zero, %zero, %a3] B[%zero, %b1] C[%one, %one, %one, %one]
        {layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>, multiplicandAPtxType = #nvvm.mma_type<bf16>,
         multiplicandBPtxType = #nvvm.mma_type<bf16>, shape = #nvvm.shape<m = 16, n = 8, k = 16>}
        : (i32, i32, f32) -> !llvm.struct<(f32, f32, f32, f32)>
      scf.if %is6 {
        %d0 = llvm.extractvalue %d[0] : !llvm.struct<(f32, f32, f32, f32)>
        %d1 = llvm.extractvalue %d[1] : !llvm.struct<(f32, f32, f32, f32)>
        %d2 = llvm.extractvalue %d[2] : !llvm.struct<(f32, f32, f32, f32)>
        %d3 = llvm.extractvalue %d[3] : !llvm.struct<(f32, f32, f32, f32)>
        %i0 = arith.constant 0 : i32
        %i1 = arith.constant 1 : i32
        %i2 = arith.constant 2 : i32
        %i3 = arith.constant 3 : i32
        %none = llvm.mlir.poison : vector<4xf32>
        %v0 = llvm.insertelement %d0, %none[%i0 : i32] : vector<4xf32>
        %v1 = llvm.insertelement %d1, %v0[%i1 : i32] : vector<4xf32>
        %v2 = llvm.insertelement %d2, %v1[%i2 : i32] : vector<4xf32>
        %v3 = llvm.insertelement %d3, %v2[%i3 : i32] : vector<4xf32>
        llvm.store %v3, %y : vector<4xf32>, !llvm.ptr<1>
      }
      llvm.return
    }
    llvm.func @loops(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 4>} {
      %c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %c4 = arith.constant 4 : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %rounds = scf.for %i = %c0 to %lane step %c1 iter_args(%n = %c0) -> (i32) : i32 {
        %next = arith.addi %n, %c1 : i32
        scf.yield %next : i32
      }
      %half:2 = scf.while (%rest = %lane, %n = %c0) : (i32, i32) -> (i32, i32) {
        %more = arith.cmpi ne, %rest, %c0 : i32
        scf.condition(%more) %rest, %n : i32, i32
      } do {
      ^bb0(%rest: i32, %n: i32):
        %less = arith.shrui %rest, %c1 : i32
        %next = arith.addi %n, %c1 : i32
        scf.yield %less, %next : i32, i32
      }
      %at = arith.muli %lane, %c4 : i32
      %to = llvm.getelementptr %y[%at] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i8
      llvm.store %rounds, %to : i32, !llvm.ptr<1>
      %second = llvm.getelementptr %to[16] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
      llvm.store %half#1, %second : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @arrays(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 4>} {
      %zero = arith.constant 0 : i32
      %seven = arith.constant 7 : i32
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c4 = arith.constant 4 : index
      %array = memref.alloca() : memref<4xi32>
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %own = arith.index_cast %lane : i32 to index
      scf.for %i = %c0 to %c4 step %c1 {
        memref.store %zero, %array[%i] : memref<4xi32>
      }
      memref.store %seven, %array[%own] : memref<4xi32>
      %sum = scf.for %i = %c0 to %c4 step %c1 iter_args(%s = %zero) -> (i32) {
        %v = memref.load %array[%i] : memref<4xi32>
        %w = arith.index_cast %i : index to i32
        %p = arith.muli %v, %w : i32
        %n = arith.addi %s, %p : i32
        scf.yield %n : i32
      }
      %to = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %sum, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @names(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 4>} {
      %c1 = llvm.mlir.constant(1 : i32) : i32
      %c3 = llvm.mlir.constant(3 : i32) : i32
      %c8 = llvm.mlir.constant(8 : i32) : i32
      %c40 = llvm.mlir.constant(40 : i32) : i32
      %lane = nvvm.read.ptx.sreg.tid.x : i32
      %double = llvm.shl %lane, %c1 : i32
      %sum = llvm.add %double, %c3 : i32
      %small = llvm.icmp "slt" %sum, %c8 : i32
      %next = llvm.add %lane, %c1 : i32
      %quotient = llvm.udiv %c40, %next : i32
      %v = llvm.select %small, %sum, %quotient : i1, i32
      %to = llvm.getelementptr %y[%lane] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, i32
      llvm.store %v, %to : i32, !llvm.ptr<1>
      llvm.return
    }
    llvm.func @words(%y: !llvm.ptr<1>) attributes {nvvm.kernel, nvvm.maxntid = array<i32: 1>} {
      %pair = arith.constant dense<[1.0, 2.0]> : vector<2xf32>
      %narrow = arith.truncf %pair : vector<2xf32> to vector<2xbf16>
      %word = llvm.bitcast %narrow : vector<2xbf16> to i32
      llvm.store %word, %y : i32, !llvm.ptr<1>
      %again = llvm.bitcast %word : i32 to vector<2xi16>
      %c1 = arith.constant 1 : i32
      %high = llvm.extractelement %again[%c1 : i32] : vector<2xi16>
      %wide = arith.extui %high : i16 to i32
      %to = llvm.getelementptr %y[4] : (!llvm.ptr<1>) -> !llvm.ptr<1>, i8
      llvm.store %wide, %to : i32, !llvm.ptr<1>
      llvm.return
    }
  }
  func.func @arrays(%y: memref<4xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "arrays" blocks(%one) threads(4) shared(0) args(%y : memref<4xi32>) boxes = [0]
    return
  }
  func.func @names(%y: memref<4xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "names" blocks(%one) threads(4) shared(0) args(%y : memref<4xi32>) boxes = [0]
    return
  }
  func.func @shuffles(%y: memref<8xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "shuffles" blocks(%one) threads(32) shared(0) args(%y : memref<8xi32>) boxes = [0]
    return
  }
  func.func @matrix(%y: memref<4xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "matrix" blocks(%one) threads(32) shared(128) args(%y : memref<4xi32>) boxes = [0]
    return
  }
  func.func @product(%y: memref<4xf32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "product" blocks(%one) threads(32) shared(0) args(%y : memref<4xf32>) boxes = [0]
    return
  }
  func.func @loops(%y: memref<8xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "loops" blocks(%one) threads(4) shared(0) args(%y : memref<8xi32>) boxes = [0]
    return
  }
  func.func @words(%y: memref<2xi32> {moe.name = "y", moe.role = "result"}) {
    %one = arith.constant 1 : index
    moe_rt.launch @kernels "words" blocks(%one) threads(1) shared(0) args(%y : memref<2xi32>) boxes = [0]
    return
  }
}
