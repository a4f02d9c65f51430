//===- Passes.td - From kernels on memrefs to entry points -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LOWERING_PASSES_TD
#define MOE_LOWERING_PASSES_TD

include "mlir/Pass/PassBase.td"

def PrepareEntryPointsPass : Pass<"moe-prepare-entry-points", "::mlir::ModuleOp"> {
  let summary = "Checks and completes the interface of entry functions";
  let description = [{
    Every public function with a body is an entry point of the artifact. The
    pass rejects what no C interface can be made of (unranked types, names that
    are no C identifiers, dynamic dimensions of results without a name) and
    gives arguments and results without `moe.name` or `moe.dims` default ones
    (`arg0`, `arg0_d1`, `result0`).
  }];
}

def AssertsToChecksPass : Pass<"moe-asserts-to-checks", "::mlir::ModuleOp"> {
  let summary = "Makes calls whose cf.assert fails return a status";
  let description = [{
    `cf.assert` in an entry function becomes a `moe_rt.check` with the status
    `bad_value` and the same message.
  }];
  let dependentDialects = ["::moert::MoeRtDialect"];
}

def NameEntryPointsPass : Pass<"moe-name-entry-points", "::mlir::ModuleOp"> {
  let summary = "Gives entry functions the names they have in C";
  let description = [{
    Entry functions become C functions beside all others of a program. One whose
    name is reserved (keywords, names that begin with an underscore, `main`, the
    functions of libc, libm, OpenMP and of the runtime) gets `moe_` in front;
    `moe.entry` keeps the name in the model. Two entry functions of which C
    would declare the same name are an error. Symbols that only the module sees
    make way.
  }];
  let options = [
    Option<"prefix", "prefix", "std::string", "\"\"",
           "What all names in C begin with">
  ];
}

def MergeIdenticalFunctionsPass
    : Pass<"moe-merge-identical-functions", "::mlir::ModuleOp"> {
  let summary = "Compiles entry functions that differ only in their name once";
  let description = [{
    Layers of a model are mostly equal but for their weights, which are
    arguments. Entry functions that are equal up to their name and `moe.layer`
    are erased but for the first; the module attribute `moe.aliases` lists the
    others with what they forward to.
  }];
}

def CheckSizesPass : Pass<"moe-check-sizes", "::mlir::ModuleOp"> {
  let summary = "Checks at run time what operations promise about sizes";
  let description = [{
    Elementwise and `linalg` operands have to agree, slices to lie within their
    tensors, casts and reshapes to keep sizes, and results to be as large as
    their `moe.dims` say. What does not hold for all sizes of the caller becomes
    a `moe_rt.check`, at the entry where the named sizes and scalar arguments
    decide it; what holds for none is an error. The tokens of a routing times
    its slots have to be numbers of 32 bits.

    A size that only results have becomes an argument of type `index` with the
    role `size`.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::tensor::TensorDialect",
                           "::moert::MoeRtDialect"];
}

def HoistPackingPass : Pass<"moek-hoist-packing", "::mlir::ModuleOp"> {
  let summary = "Moves the packing of weights out of entry functions";
  let description = [{
    A `moek.pack` of arguments becomes an argument that holds the packed
    weights: in its layout, or without one in logical order. Its `moe.packed` attribute says how it is made of which tensors of
    the model; `moe-run` and every packer of weights files follow it. Arguments
    without other uses go away; the attribute `moe.model_interface` of the
    function keeps them. A `moek.pack` of constants becomes a constant.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::moek::MoekDialect"];
}

def ProtectArgumentsPass : Pass<"moek-protect-arguments", "::mlir::ModuleOp"> {
  let summary = "Forbids bufferization to write into entry arguments";
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}

def ResultsToArgumentsPass : Pass<"moek-results-to-arguments", "::mlir::ModuleOp"> {
  let summary = "Turns the memrefs an entry returns into arguments it writes";
  let description = [{
    The allocation that is returned becomes the argument, so that nothing is
    copied. A returned value that is no such allocation is copied, and so is one
    that is written before the last `moe_rt.check`: a call that fails has written
    no result.
  }];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def ExpandCopiesPass : Pass<"moek-expand-copies", "::mlir::ModuleOp"> {
  let summary = "Makes loops of copies between strided memrefs";
  let description = [{
    A copy between contiguous memrefs becomes a memcpy further down; any other
    would call a function of MLIR's own runner library.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def DecomposeAggregatesPass : Pass<"moe-decompose-aggregates", "::mlir::ModuleOp"> {
  let summary = "Writes linalg.softmax and its like as linalg.generic";
  let description = [{
    `linalg.softmax`, `tensor.gather`, `linalg.pack` and `linalg.unpack` become
    loop nests over their results, `tensor.scatter` loops over the slices of its
    source. Indices have to be within bounds, as the ops say.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect",
                           "::mlir::arith::ArithDialect"];
}

def CarryTensorsPass : Pass<"moek-carry-tensors", "::mlir::ModuleOp"> {
  let summary = "Makes loops write the tensors they carry where they were";
  let description = [{
    What an iteration of `scf.for` or `scf.while` yields is copied into the
    tensor that it got, so that the loop needs one buffer and not a new one each
    time. This takes that both have the same sizes, which has to follow from how
    they are made; other tensors are left alone.

    Before:
    ```mlir
    %y = scf.for ... iter_args(%a = %x) -> tensor<?xf32> {
      %b = math.exp %a : tensor<?xf32>
      scf.yield %b : tensor<?xf32>
    }
    ```
    After:
    ```mlir
    %y = scf.for ... iter_args(%a = %x) -> tensor<?xf32> {
      %b = math.exp %a : tensor<?xf32>
      %c = linalg.copy ins(%b : tensor<?xf32>) outs(%a : tensor<?xf32>)
      scf.yield %c : tensor<?xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect",
                           "::mlir::scf::SCFDialect"];
}

def WidenReductionsPass : Pass<"moe-widen-reductions", "::mlir::ModuleOp"> {
  let summary = "Makes reductions of bf16 and f16 run in f32";
  let description = [{
    A reduction whose result is bf16 or f16 is computed in f32 and rounded once,
    at the end.

    Before:
    ```mlir
    %y = linalg.generic {... "reduction"} outs(%zero : tensor<?xbf16>) {
    ^bb0(%a: bf16, %sum: bf16):
      %s = arith.addf %a, %sum : bf16
      linalg.yield %s : bf16
    }
    ```
    After:
    ```mlir
    %w = linalg.generic {... "reduction"} outs(%wide : tensor<?xf32>) {
    ^bb0(%a: bf16, %sum: f32):
      %narrow = arith.truncf %sum fastmath<contract> : f32 to bf16
      %s = arith.addf %a, %narrow : bf16
      %t = arith.extf %s fastmath<contract> : bf16 to f32
      linalg.yield %t : f32
    }
    %y = linalg.generic ... { arith.truncf }
    ```
    `arith-emulate-unsupported-floats` makes the addition one of f32, and then
    the conversions beside it fold.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ExpandSmallFloatsPass : Pass<"moek-expand-small-floats", "::mlir::ModuleOp"> {
  let summary = "Writes conversions of bf16 and f16 that no instruction does";
  let description = [{
    A conversion between f64 and 16 bits goes by f32, one of an integer by f64,
    and both round once. For a CPU
    without bf16, every bf16 becomes an i16 of the same bits, and conversions
    from and to f32 become integer arithmetic (to nearest even; a NaN stays one
    and becomes quiet).
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
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerRuntimeOpsPass : Pass<"moek-lower-runtime-ops", "::mlir::ModuleOp"> {
  let summary = "Lowers moe_rt.num_threads and moe_rt.trace to the runtime's table";
  let description = [{
    Entry functions get the runtime (`const moe_rt *`) as their first argument.
    A trace event is built only when the runtime has a trace hook. A `moe_rt.check`
    gets the runtime as an operand.
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
    at most, each of which does several of the old ones.
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
    An `scf.parallel` at the top level of an entry function becomes a private
    function `(captures, item)` and a call of the runtime's `parallel_for`;
    several dimensions are linearized. Inner ones become sequential loops.
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
  }];
  let dependentDialects = ["::mlir::cf::ControlFlowDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

def VerifyStagePass : Pass<"moe-verify-stage", "::mlir::ModuleOp"> {
  let summary = "Checks that a stage of the pipeline left nothing behind";
  let description = [{
    Each stage has a set of operations that must be gone after it; what is left
    cannot be compiled and is reported where it is, with what would help. `model`
    and `tensors` look at what comes in: the first at the model, the second at
    what goes into bufferization.
  }];
  let options = [
    Option<"stage", "stage", "std::string", /*default=*/"\"llvm\"",
           "model, fused, planned, tensors, bufferized, vector, runtime or "
           "llvm">,
  ];
}

#endif // MOE_LOWERING_PASSES_TD
