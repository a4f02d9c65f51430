//===- TensorPasses.td - Entry functions on tensors -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LOWERING_TENSOR_PASSES_TD
#define MOE_LOWERING_TENSOR_PASSES_TD

include "mlir/Pass/PassBase.td"

def PrepareEntryPointsPass : Pass<"moe-prepare-entry-points", "::mlir::ModuleOp"> {
  let summary = "Checks and completes the interface of entry functions";
  let description = [{
    Every public function with a body is an entry point of the artifact. The
    pass rejects what no C interface can be made of (unranked types, names that
    are no C identifiers, dynamic dimensions of results without a name) and
    gives arguments and results without `moe.name` a default one (`arg0`,
    `result0`), and arguments without `moe.dims`, too (`arg0_d1`). Attributes
    `llvm.*` of functions and arguments are dropped: they are for other
    pipelines.

    Before:
    ```mlir
    func.func @first(%x: tensor<?x8xf32>, %f: tensor<8xf32> {moe.name = "factors"})
        -> tensor<8xf32> {
      return %f : tensor<8xf32>
    }
    ```
    After:
    ```mlir
    func.func @first(%x: tensor<?x8xf32> {moe.name = "arg0", moe.dims = ["arg0_d0"]},
                     %f: tensor<8xf32> {moe.name = "factors"})
        -> (tensor<8xf32> {moe.name = "result0"}) {
      return %f : tensor<8xf32>
    }
    ```
  }];
}

def AssertsToChecksPass : Pass<"moe-asserts-to-checks", "::mlir::ModuleOp"> {
  let summary = "Makes calls whose cf.assert fails return a status";
  let description = [{
    `cf.assert` in an entry function becomes a `moe_rt.check` with the status
    `bad_value` and the same message.

    Before:
    ```mlir
    func.func @layer(%ok: i1) {
      cf.assert %ok, "the mask is empty"
      return
    }
    ```
    After:
    ```mlir
    func.func @layer(%ok: i1) {
      moe_rt.check %ok, bad_value, "the mask is empty"
      return
    }
    ```
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

    Before:
    ```mlir
    func.func @double(%x: tensor<8xf32>) -> tensor<8xf32> {
      return %x : tensor<8xf32>
    }
    ```
    After:
    ```mlir
    func.func @moe_double(%x: tensor<8xf32>) -> tensor<8xf32>
        attributes {moe.entry = "double"} {
      return %x : tensor<8xf32>
    }
    ```
    After, with `prefix=acme_`:
    ```mlir
    func.func @acme_double(%x: tensor<8xf32>) -> tensor<8xf32>
        attributes {moe.entry = "double"} {
      return %x : tensor<8xf32>
    }
    ```
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
    arguments. Entry functions that are equal up to their name, `moe.layer` and `moe.checkpoint`
    are erased but for the first; the module attribute `moe.aliases` lists the
    others with what they forward to.

    Before:
    ```mlir
    func.func @first(%x: tensor<8xf32>) -> tensor<8xf32> attributes {moe.layer = 0} {
      return %x : tensor<8xf32>
    }
    func.func @second(%x: tensor<8xf32>) -> tensor<8xf32> attributes {moe.layer = 1} {
      return %x : tensor<8xf32>
    }
    ```
    After:
    ```mlir
    module attributes {moe.aliases = [
        {name = "second", of = "first", entry = "second", layer = 1} ]} {
      func.func @first(%x: tensor<8xf32>) -> tensor<8xf32> attributes {moe.layer = 0} {
        return %x : tensor<8xf32>
      }
    }
    ```
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

    Before:
    ```mlir
    func.func @add(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                   %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]})
        -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
      %z = arith.addf %x, %y : tensor<?xf32>
      return %z : tensor<?xf32>
    }
    ```
    After:
    ```mlir
    func.func @add(%x: tensor<?xf32> {moe.name = "x", moe.dims = ["T"]},
                   %y: tensor<?xf32> {moe.name = "y", moe.dims = ["U"]})
        -> (tensor<?xf32> {moe.name = "z", moe.dims = ["T"]}) {
      %c0 = arith.constant 0 : index
      %u = tensor.dim %y, %c0 : tensor<?xf32>
      %d0 = arith.constant 0 : index
      %t = tensor.dim %x, %d0 : tensor<?xf32>
      %ok = arith.cmpi eq, %u, %t : index
      moe_rt.check %ok, bad_size, "U has to equal T: 'arith.addf' needs one shape"
      %z = arith.addf %x, %y : tensor<?xf32>
      return %z : tensor<?xf32>
    }
    ```
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
    weights: in its layout, or without one in logical order. Its `moe.packed`
    attribute says how it is made of which tensors of the model; `moe-run` and
    every packer of weights files follow it. Arguments without other uses go
    away; the attribute `moe.model_interface` of the function keeps them. A
    `moek.pack` of constants becomes a constant.

    Before:
    ```mlir
    func.func @layer(%w: tensor<2x16x8xf32> {moe.name = "up"})
        -> tensor<2x1x16x8xf32> {
      %p = moek.pack %w : tensor<2x16x8xf32> -> tensor<2x1x16x8xf32>
      return %p : tensor<2x1x16x8xf32>
    }
    ```
    After:
    ```mlir
    func.func @layer(%p: tensor<2x1x16x8xf32> {moe.name = "up", moe.packed = {
          dtype = "f32", layout = "panels", columns = 1, experts = 2, interleave = 0,
          k_block = 1, k_padded = 8, n_padded = 16,
          sources = [{dtype = "f32", first_expert = 0, name = "up", part = 0,
                      shape = [2, 16, 8]} ]}})
        -> tensor<2x1x16x8xf32>
        attributes {moe.model_interface = [{name = "up", type = tensor<2x16x8xf32>} ]} {
      return %p : tensor<2x1x16x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::moek::MoekDialect"];
}

def ProtectArgumentsPass : Pass<"moek-protect-arguments", "::mlir::ModuleOp"> {
  let summary = "Forbids bufferization to write into entry arguments";
  let description = [{
    Every tensor that an entry function takes becomes one that bufferization may
    not write into: the caller's inputs stay as they are.

    Before:
    ```mlir
    func.func @layer(%x: tensor<8xf32>) -> tensor<8xf32> {
      return %x : tensor<8xf32>
    }
    ```
    After:
    ```mlir
    func.func @layer(%x: tensor<8xf32> {bufferization.writable = false})
        -> tensor<8xf32> {
      return %x : tensor<8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}

def DecomposeAggregatesPass : Pass<"moe-decompose-aggregates", "::mlir::ModuleOp"> {
  let summary = "Writes linalg.softmax and its like as linalg.generic";
  let description = [{
    `linalg.softmax`, `tensor.gather`, `linalg.pack` and `linalg.unpack` become
    loop nests over their results, `tensor.scatter` loops over the slices of its
    source. Indices have to be within bounds, as the ops say.

    Before:
    ```mlir
    func.func @rows(%x: tensor<8x4xf32>, %i: tensor<2x1xindex>) -> tensor<2x4xf32> {
      %y = tensor.gather %x[%i] gather_dims([0])
          : (tensor<8x4xf32>, tensor<2x1xindex>) -> tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
    ```
    After:
    ```mlir
    #y = affine_map<(i, j) -> (i, j)>
    func.func @rows(%x: tensor<8x4xf32>, %i: tensor<2x1xindex>) -> tensor<2x4xf32> {
      %e = tensor.empty() : tensor<2x4xf32>
      %y = linalg.generic {indexing_maps = [#y], iterator_types = ["parallel", "parallel"]}
          outs(%e : tensor<2x4xf32>) {
      ^bb0(%out: f32):
        %a = linalg.index 0 : index
        %c0 = arith.constant 0 : index
        %row = tensor.extract %i[%a, %c0] : tensor<2x1xindex>
        %b = linalg.index 1 : index
        %v = tensor.extract %x[%row, %b] : tensor<8x4xf32>
        linalg.yield %v : f32
      } -> tensor<2x4xf32>
      return %y : tensor<2x4xf32>
    }
    ```
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
    func.func @repeat(%x: tensor<8xf32>, %n: index) -> tensor<8xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %y = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> (tensor<8xf32>) {
        %b = math.exp %a : tensor<8xf32>
        scf.yield %b : tensor<8xf32>
      }
      return %y : tensor<8xf32>
    }
    ```
    After:
    ```mlir
    func.func @repeat(%x: tensor<8xf32>, %n: index) -> tensor<8xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %y = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> (tensor<8xf32>) {
        %b = math.exp %a : tensor<8xf32>
        %c = linalg.copy ins(%b : tensor<8xf32>) outs(%a : tensor<8xf32>) -> tensor<8xf32>
        scf.yield %c : tensor<8xf32>
      }
      return %y : tensor<8xf32>
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
    at the end. `arith-emulate-unsupported-floats` makes the addition below one of
    f32, and then the conversions beside it fold.

    Before:
    ```mlir
    func.func @sum(%x: tensor<8xbf16>) -> tensor<bf16> {
      %zero = arith.constant 0.0 : bf16
      %e = tensor.empty() : tensor<bf16>
      %z = linalg.fill ins(%zero : bf16) outs(%e : tensor<bf16>) -> tensor<bf16>
      %y = linalg.reduce { arith.addf } ins(%x : tensor<8xbf16>)
          outs(%z : tensor<bf16>) dimensions = [0]
      return %y : tensor<bf16>
    }
    ```
    After:
    ```mlir
    // ...
      ^bb0(%a: bf16, %sum: f32):
        %narrow = arith.truncf %sum fastmath<contract> : f32 to bf16
        %s = arith.addf %narrow, %a : bf16
        %wide = arith.extf %s fastmath<contract> : bf16 to f32
        linalg.yield %wide : f32
      } -> tensor<f32>
      // ...
      ^bb0(%in: f32, %out: bf16):
        %rounded = arith.truncf %in : f32 to bf16
        linalg.yield %rounded : bf16
      } -> tensor<bf16>
      return %y : tensor<bf16>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // MOE_LOWERING_TENSOR_PASSES_TD
