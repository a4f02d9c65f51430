//===- CompiledLayer.h - A layer of an artifact, ready to run ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Calls of one function with several sets of weights, of which each run uses
// one: a layer that comes again before its weights have left the caches is no
// layer of a model of many.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H
#define MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H

#include "moe-mlir/Bench/Report.h"
#include "moe-mlir/Bench/Suites.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Run/Call.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::bench {

/// Imports the configuration of a model with weights of type `format`, or
/// copies its module. Null and a message on failure.
mlir::OwningOpRef<mlir::ModuleOp> importModel(mlir::MLIRContext &context,
                                              const BenchModel &model,
                                              const std::string &modelsDir,
                                              const std::string &format,
                                              std::string &error);

/// The function that is measured; null and a message if there is no such, or
/// several.
mlir::func::FuncOp findEntry(mlir::ModuleOp module, const BenchModel &model,
                             std::string &error);

/// Compiles a copy of the module to `base`.so and so on. `options.fuse` off: our
/// own lowering without any fusion.
bool compileModel(mlir::ModuleOp module, const std::string &name,
                  CompileOptions options,
                  const std::string &base, std::string &error);

/// The weights of copy number `copy`: the same for everything that computes
/// the layer.
FillWeight weightFiller(const LayerSpec &spec, int copy);
FunctionInputs makeInputs(const BenchModel &model, int copy);

class CompiledLayer;

/// Times calls on a device: one behind another, until their kernels are done,
/// without copies of tensors. `repeats` is 0 for as many as that takes.
bool measureOnDevice(CompiledLayer &layer, mlir::func::FuncOp function,
                     int64_t tokens, int repeats, Row &row, std::string &error);

class CompiledLayer {
public:
  /// With `copies` sets of weights; on `device` if that is not empty.
  static std::unique_ptr<CompiledLayer>
  load(const BenchModel &model, const std::string &entry,
       const std::string &base, int copies, const std::string &device,
       std::string &error);

  bool setTokens(int64_t tokens, std::string &error);
  void setThreads(int threads);
  /// Makes the activations of a copy, the same for the same seed.
  void refill(int copy, uint64_t seed);
  bool run(int copy, std::string &error) { return calls[copy]->invoke(error); }

  run::Call &call(int copy) { return *calls[copy]; }
  /// What the CPU runs of the targets it was compiled for.
  std::string variant() const;
  /// Runs a copy and gives the seconds of each phase, in the order in which
  /// they first began, and what its loops took.
  bool tracePhases(int copy, Named &phases, run::LoopTimes &loops,
                   std::string &error);

private:
  std::unique_ptr<run::Artifact> artifact;
  double zipf = 0;
  /// Per copy.
  std::vector<FunctionInputs> inputs;
  std::vector<std::unique_ptr<run::Call>> calls;
};

} // namespace moe::bench

#endif // MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H
