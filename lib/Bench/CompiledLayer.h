//===- CompiledLayer.h - A layer of an artifact, ready to run --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Makes the weights that an artifact's function wants, in its layout, and
// calls it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H
#define MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H

#include "moe-mlir/Artifact/ArtifactLibrary.h"
#include "moe-mlir/Bench/Report.h"
#include "moe-mlir/Bench/Suites.h"
#include "moe-mlir/Runtime/moe_rt.h"

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::bench {

/// Imports and compiles the model to `base`.so and so on. `fuse` off: our own
/// lowering without any fusion.
bool compileModel(mlir::MLIRContext &context, const SuiteModel &model,
                  const std::string &modelsDir, bool fuse,
                  const std::string &base, std::string &error);

/// The weights of copy number `copy`: the same for everything that computes
/// the layer.
FillWeight weightFiller(const LayerSpec &spec, int copy);
/// One of them. Null data and `error` when there is no such weight.
HostTensor makeWeight(const LayerSpec &spec, const std::string &name, int copy,
                      std::string &error);

class CompiledLayer {
public:
  /// With `copies` sets of weights, of which each run uses one.
  static std::unique_ptr<CompiledLayer> load(const LayerSpec &spec,
                                             const std::string &base,
                                             int copies, std::string &error);

  /// What the CPU runs of the targets it was compiled for.
  std::string variant() const;
  bool run(int copy, int threads, const float *x, float *y, int64_t tokens,
           std::string &error);
  /// The seconds of each phase, in the order they first began.
  bool tracePhases(int copy, int threads, const float *x, float *y,
                   int64_t tokens, Named &phases, std::string &error);

private:
  bool loadWeights(int copy, std::string &error);
  bool call(moe_rt &rt, int copy, const float *x, float *y, int64_t tokens,
            std::string &error);

  LayerSpec spec;
  std::unique_ptr<ArtifactLibrary> library;
  ArtifactFunction function;
  /// Per copy, one for each argument; the activations' has no data.
  std::vector<std::vector<HostTensor>> arguments;
  HostTensor workspace;
  size_t inputIndex = 0;
};

} // namespace moe::bench

#endif // MOE_MLIR_LIB_BENCH_COMPILEDLAYER_H
