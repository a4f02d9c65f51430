//===- BufferPasses.td - From memrefs to entry points -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LOWERING_BUFFER_PASSES_TD
#define MOE_LOWERING_BUFFER_PASSES_TD

include "mlir/Pass/PassBase.td"

def ResultsToArgumentsPass : Pass<"moek-results-to-arguments", "::mlir::ModuleOp"> {
  let summary = "Turns the memrefs an entry returns into arguments it writes";
  let description = [{
    The allocation that is returned becomes the argument, so that nothing is
    copied. A returned value that is no such allocation is copied, and so is one
    that is written before the last `moe_rt.check`: a call that fails has written
    no result. A scalar is stored into a memref of rank 0.

    Before:
    ```mlir
    func.func @zeros() -> (memref<8xf32> {moe.name = "y"}) {
      %zero = arith.constant 0.0 : f32
      %y = memref.alloc() : memref<8xf32>
      linalg.fill ins(%zero : f32) outs(%y : memref<8xf32>)
      return %y : memref<8xf32>
    }
    ```
    After:
    ```mlir
    func.func @zeros(%y: memref<8xf32> {moe.name = "y", moe.role = "result"}) {
      %zero = arith.constant 0.0 : f32
      linalg.fill ins(%zero : f32) outs(%y : memref<8xf32>)
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def ExpandCopiesPass : Pass<"moek-expand-copies", "::mlir::ModuleOp"> {
  let summary = "Makes loops of copies between strided memrefs";
  let description = [{
    A copy between contiguous memrefs becomes a memcpy further down; any other
    would call a function of MLIR's own runner library.

    Before:
    ```mlir
    func.func @column(%x: memref<8xf32, strided<[4]>>, %y: memref<8xf32>) {
      memref.copy %x, %y : memref<8xf32, strided<[4]>> to memref<8xf32>
      return
    }
    ```
    After:
    ```mlir
    func.func @column(%x: memref<8xf32, strided<[4]>>, %y: memref<8xf32>) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %d = arith.constant 0 : index
      %n = memref.dim %x, %d : memref<8xf32, strided<[4]>>
      scf.for %i = %c0 to %n step %c1 {
        %v = memref.load %x[%i] : memref<8xf32, strided<[4]>>
        memref.store %v, %y[%i] : memref<8xf32>
      }
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def ExpandSmallFloatsPass : Pass<"moek-expand-small-floats", "::mlir::ModuleOp"> {
  let summary = "Writes conversions of bf16 and f16 that no instruction does";
  let description = [{
    A conversion between f64 and 16 bits goes by f32, one of an integer by f64,
    and both round once. For a CPU without bf16, every bf16 becomes an i16 of the
    same bits, and conversions from and to f32 become integer arithmetic (to
    nearest even; a NaN stays one and becomes quiet).

    Before:
    ```mlir
    func.func @widen(%x: bf16) -> f32 {
      %y = arith.extf %x : bf16 to f32
      return %y : f32
    }
    ```
    After:
    ```mlir
    func.func @widen(%x: i16) -> f32 {
      %bits = arith.extui %x : i16 to i32
      %c16 = arith.constant 16 : i32
      %high = arith.shli %bits, %c16 : i32
      %y = arith.bitcast %high : i32 to f32
      return %y : f32
    }
    ```
    After, with `native-bf16`:
    ```mlir
    func.func @widen(%x: bf16) -> f32 {
      %y = arith.extf %x : bf16 to f32
      return %y : f32
    }
    ```
  }];
  let options = [
    Option<"native", "native-bf16", "bool", /*default=*/"false",
           "The CPU converts between bf16 and f32">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect"];
}

def ExpandReshapesPass : Pass<"moek-expand-reshapes", "::mlir::ModuleOp"> {
  let summary = "Writes memref.expand_shape as memref.reinterpret_cast";
  let description = [{
    The strides of the result are products of the sizes that the op names, any
    number of which may be dynamic.

    Before:
    ```mlir
    func.func @rows(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
      %y = memref.expand_shape %x [[0, 1], [2]] output_shape [%b, %s, 64]
          : memref<?x64xf32> into memref<?x?x64xf32>
      return %y : memref<?x?x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @rows(%x: memref<?x64xf32>, %b: index, %s: index) -> memref<?x?x64xf32> {
      %base, %offset, %sizes:2, %strides:2 = memref.extract_strided_metadata %x
          : memref<?x64xf32> -> memref<f32>, index, index, index, index, index
      %c64 = arith.constant 64 : index
      %stride = arith.muli %s, %c64 : index
      %y = memref.reinterpret_cast %base to offset: [0], sizes: [%b, %s, 64],
          strides: [%stride, 64, 1] : memref<f32> to memref<?x?x64xf32>
      return %y : memref<?x?x64xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def ApproximateVectorMathPass
    : Pass<"moek-approximate-vector-math", "::mlir::ModuleOp"> {
  let summary = "Expands math ops on f32 vectors into polynomials";
  let description = [{
    LLVM would split a vector `math.exp` into calls of libm, one a lane.
    Scalars keep their libm calls.

    Before:
    ```mlir
    func.func @exp(%x: vector<8xf32>) -> vector<8xf32> {
      %y = math.exp %x : vector<8xf32>
      return %y : vector<8xf32>
    }
    ```
    After:
    ```mlir
    // ...
      %log2 = arith.constant dense<1.44269502> : vector<8xf32>
      %scaled = arith.mulf %clamped, %log2 : vector<8xf32>
      %n = math.roundeven %scaled : vector<8xf32>
      // ...
      %c6 = arith.constant dense<0.00138888892> : vector<8xf32>
      %c5 = arith.constant dense<0.00833333377> : vector<8xf32>
      %p1 = math.fma %c6, %r, %c5 : vector<8xf32>
      // ...
      %isNaN = arith.cmpf uno, %x, %x : vector<8xf32>
      %y = arith.select %isNaN, %x, %e : vector<8xi1>, vector<8xf32>
      return %y : vector<8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerRuntimeOpsPass : Pass<"moek-lower-runtime-ops", "::mlir::ModuleOp"> {
  let summary = "Lowers moe_rt.num_threads and moe_rt.trace to the runtime's table";
  let description = [{
    Entry functions with such ops get the runtime (`const moe_rt *`) as their
    first argument. A trace event is built only when the runtime has a trace hook.
    A `moe_rt.check` gets the runtime as an operand.

    Before:
    ```mlir
    func.func @threads(%n: memref<index>) {
      %t = moe_rt.num_threads
      memref.store %t, %n[] : memref<index>
      return
    }
    ```
    After:
    ```mlir
    func.func @threads(%rt: !llvm.ptr {moe.role = "runtime"}, %n: memref<index>) {
      %field = llvm.getelementptr %rt[4] : (!llvm.ptr) -> !llvm.ptr, i8
      %count = llvm.load %field : !llvm.ptr -> i32
      %t = arith.index_cast %count : i32 to index
      memref.store %t, %n[] : memref<index>
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

def BoundFramesPass : Pass<"moek-bound-frames", "::mlir::ModuleOp"> {
  let summary = "Moves large stack slots into the workspace";
  let description = [{
    The `memref.alloca` of a function, or of a parallel loop at its top level,
    take 256 KiB of stack at most. Larger ones become a `memref.alloc`, of which
    each item that runs at the same time uses a slice; such a loop has 32 items
    at most, each of which does several of the old ones. A `memref.alloc` in a
    parallel loop becomes a `memref.alloca` before that.

    Before:
    ```mlir
    func.func @layer(%x: memref<8xf32>) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
        %a = memref.alloca() : memref<100000xf32>
        %v = memref.load %a[%i] : memref<100000xf32>
        memref.store %v, %x[%i] : memref<8xf32>
      }
      return
    }
    ```
    After:
    ```mlir
    // ...
      %buffer = memref.alloc() {alignment = 64 : i64} : memref<12800000xi8>
      %items = arith.minsi %old, %c32 : index
      scf.parallel (%slice) = (%c0) to (%items) step (%c1) {
        %bytes = arith.constant 400000 : index
        %at = arith.muli %slice, %bytes : index
        %a = memref.view %buffer[%at][] : memref<12800000xi8> to memref<100000xf32>
        scf.for %i = %slice to %old step %c32 {
          %v = memref.load %a[%i] : memref<100000xf32>
          memref.store %v, %x[%i] : memref<8xf32>
        }
        scf.reduce
      }
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def AssignWorkspacePass : Pass<"moek-assign-workspace", "::mlir::ModuleOp"> {
  let summary = "Places every allocation of an entry into one workspace";
  let description = [{
    `memref.alloc` becomes a 64-byte aligned `memref.view` of one workspace
    argument. Buffers whose lifetimes do not overlap share a place. Sizes must
    follow from the dynamic dimensions of the arguments, or have a constant
    upper bound; the private function `NAME__workspace` computes their sum from
    the sizes.

    Before:
    ```mlir
    func.func @layer(%x: memref<16xf32> {moe.name = "x"}) {
      %a = memref.alloc() : memref<16xf32>
      memref.copy %x, %a : memref<16xf32> to memref<16xf32>
      memref.copy %a, %x : memref<16xf32> to memref<16xf32>
      return
    }
    ```
    After:
    ```mlir
    func.func @layer(%x: memref<16xf32> {moe.name = "x"},
                     %workspace: memref<?xi8> {moe.role = "workspace"}) {
      // ...
      %a = memref.view %workspace[%c0][] : memref<?xi8> to memref<16xf32>
      memref.copy %x, %a : memref<16xf32> to memref<16xf32>
      memref.copy %a, %x : memref<16xf32> to memref<16xf32>
      return
    }
    func.func private @layer__workspace() -> index {
      // ...
      return %bytes : index
    }
    ```
  }];
  let options = [
    Option<"reuse", "reuse", "bool", /*default=*/"true",
           "Let buffers with disjoint lifetimes share memory">,
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::affine::AffineDialect"];
}

def OutlineParallelPass : Pass<"moek-outline-parallel", "::mlir::ModuleOp"> {
  let summary = "Makes functions of parallel loops and hands them to the runtime";
  let description = [{
    An outermost `scf.parallel` of an entry function becomes a private function
    `(captures, item)` and a call of the runtime's `parallel_for`; several
    dimensions are linearized. A single item needs no hook. Inner loops become
    sequential, and loops that reduce stay.

    Before:
    ```mlir
    func.func @fill(%x: memref<8xf32>, %f: f32) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      scf.parallel (%i) = (%c0) to (%c8) step (%c1) {
        memref.store %f, %x[%i] : memref<8xf32>
      }
      return
    }
    ```
    After:
    ```mlir
    func.func private @fill__parallel_0(%captures: !llvm.ptr, %item: i64) {
      // ...
      %i = arith.index_cast %item : i64 to index
      memref.store %v, %y[%i] : memref<8xf32>
      return
    }
    func.func @fill(%rt: !llvm.ptr {moe.role = "runtime"}, %x: memref<8xf32>, %f: f32) {
      // ...
          %field = llvm.getelementptr %rt[16] : (!llvm.ptr) -> !llvm.ptr, i8
          %hook = llvm.load %field : !llvm.ptr -> !llvm.ptr
          %body = func.constant @fill__parallel_0 : (!llvm.ptr, i64) -> ()
          %pointer = builtin.unrealized_conversion_cast %body
              : (!llvm.ptr, i64) -> () to !llvm.ptr
          %items = arith.index_cast %c8 : index to i64
          llvm.call %hook(%rt, %items, %pointer, %values)
              : !llvm.ptr, (!llvm.ptr, i64, !llvm.ptr, !llvm.ptr) -> ()
        }
      }
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
}

def EmitEntryPointsPass : Pass<"moek-emit-entry-points", "::mlir::ModuleOp"> {
  let summary = "Wraps entry functions into the C interface";
  let description = [{
    `NAME` becomes the private `NAME__body`; the new `NAME` takes the runtime,
    sizes, pointers and the workspace, checks all of them before anything is
    written, and returns a status. `NAME_workspace_bytes` computes what it
    needs. The module attribute `moe.interfaces` describes all entries.

    Before:
    ```mlir
    func.func @layer(%x: memref<8xf32> {moe.name = "x"}) {
      return
    }
    ```
    After:
    ```mlir
    module attributes {moe.interfaces = [{
        arguments = [{dtype = "f32", name = "x", shape = [8]} ], entry = "layer",
        invoke = "layer__invoke", name = "layer", results = [], sizes = [],
        workspace = [[1, 0]]} ]} {
      // ...
      llvm.func @layer_workspace_bytes() -> i64 {
      // ...
      llvm.func @layer(%rt: !llvm.ptr, %x: !llvm.ptr, %workspace: !llvm.ptr,
                       %bytes: i64) -> i32 {
        // ...
        %isNull = llvm.icmp "eq" %x, %null : !llvm.ptr
        // ...
        func.call @layer__body(%buffer) : (memref<8xf32>) -> ()
        %ok = llvm.mlir.constant(0 : i32) : i32
        llvm.return %ok : i32
      }
      func.func private @layer__body(%y: memref<8xf32>)
          attributes {llvm.linkage = #llvm.linkage<internal>} {
        return
      }
    }
    ```
  }];
  let options = [
    Option<"suffix", "suffix", "std::string", /*default=*/"\"\"",
           "Appended to the names of the emitted functions (target variants)">,
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect"];
}

def LowerChecksPass : Pass<"moek-lower-checks", "::mlir::ModuleOp"> {
  let summary = "Makes branches of moe_rt.check that end a call";
  let description = [{
    A failed check tells the error hook and returns its status. Runs when the
    control flow around checks is branches (`convert-scf-to-cf`).

    Before:
    ```mlir
    llvm.func @moe_report(!llvm.ptr, i32, !llvm.ptr) -> i32
    func.func private @layer__body(%rt: !llvm.ptr, %ok: i1) -> i32 {
      %done = arith.constant 0 : i32
      moe_rt.check %ok, bad_value, "layer: the mask is empty" runtime(%rt : !llvm.ptr)
      return %done : i32
    }
    ```
    After:
    ```mlir
    llvm.mlir.global internal constant @moe_check("layer: the mask is empty\00")
    llvm.func @moe_report(!llvm.ptr, i32, !llvm.ptr) -> i32
    func.func private @layer__body(%rt: !llvm.ptr, %ok: i1) -> i32 {
      %done = arith.constant 0 : i32
      cf.cond_br %ok, ^bb1, ^bb2
    ^bb1:
      return %done : i32
    ^bb2:
      %status = llvm.mlir.constant(8 : i32) : i32
      %message = llvm.mlir.addressof @moe_check : !llvm.ptr
      %code = llvm.call @moe_report(%rt, %status, %message)
          : (!llvm.ptr, i32, !llvm.ptr) -> i32
      return %code : i32
    }
    ```
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

def LowerLaunchesPass : Pass<"moek-lower-launches", "::mlir::ModuleOp"> {
  let summary = "Makes calls of the launch hook of moe_rt.launch";
  let description = [{
    Fills a `moe_launch` on the stack and calls the hook of the runtime; a check
    behind it ends the call with `device` where there is no hook, or it fails.
    `<image>_code`, the code that holds the kernel, is declared here and defined
    by the target. Runs when buffers have their place in the workspace.

    Before:
    ```mlir
    func.func @layer(%x: memref<?x64xbf16> {moe.name = "x"}) attributes {moe.entry} {
      %n = arith.constant 10 : index
      moe_rt.launch @kernels "copy" blocks(%n) threads(256) shared(0)
          args(%x : memref<?x64xbf16>) boxes = [0]
      return
    }
    ```
    After:
    ```mlir
    llvm.mlir.global external constant @kernels_code() {addr_space = 0 : i32} : !llvm.array<0 x i8>
    llvm.mlir.global internal constant @moe_kernel_name("copy\00") {addr_space = 0 : i32}
    // ...
      moe_rt.check %set, device, "layer: the layer is for a device, and the runtime has no launch hook" runtime(%rt : !llvm.ptr)
      %status = llvm.call %hook(%rt, %launch) : !llvm.ptr, (!llvm.ptr, !llvm.ptr) -> i32
      %zero = llvm.mlir.constant(0 : i32) : i32
      %ok = llvm.icmp "eq" %status, %zero : i32
      moe_rt.check %ok, device, "layer: kernel copy could not be started" runtime(%rt : !llvm.ptr)
      return
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::moert::MoeRtDialect"];
}

def VerifyStagePass : Pass<"moe-verify-stage", "::mlir::ModuleOp"> {
  let summary = "Checks that a stage of the pipeline left nothing behind";
  let description = [{
    Each stage has a set of operations that must be gone after it; what is left
    cannot be compiled and is reported where it is, with what would help. `model`
    and `tensors` look at what comes in: the first at the model, the second at
    what goes into bufferization.

    Before:
    ```mlir
    func.func @rows(%x: tensor<?x8xf32>, %r: !moe.routing<4 x 2>) -> tensor<?x8xf32> {
      %rows = moe.dispatch %x by %r
          : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
      return %rows : tensor<?x8xf32>
    }
    ```
    After, with `stage=fused`:
    ```text
    error: 'moe.dispatch' op is left after stage 'fused': it was not turned into a
    kernel (--remarks-filter=.* tells which pattern it missed)
    ```
  }];
  let options = [
    Option<"stage", "stage", "std::string", /*default=*/"\"llvm\"",
           "model, fused, planned, tensors, bufferized, vector, runtime or "
           "llvm">,
  ];
}

#endif // MOE_LOWERING_BUFFER_PASSES_TD
