//===- Contender.h - What a layer is put beside -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Second implementations of a layer with the same weights and activations.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_BENCH_CONTENDER_H
#define MOE_MLIR_LIB_BENCH_CONTENDER_H

#include "CompiledLayer.h"

namespace moe::bench {

class Contender {
public:
  virtual ~Contender() = default;

  virtual bool setBatch(int64_t tokens, int threads, std::string &error) = 0;
  /// Untimed: takes over the activations that `ours` has from `seed`.
  virtual bool prepare(CompiledLayer &ours, int copy, uint64_t seed,
                       std::string &error) = 0;
  virtual bool run(CompiledLayer &ours, int copy, std::string &error) = 0;
  /// Of the last run, in the order of our results.
  virtual std::vector<HostTensor> results(int copy) const = 0;

  std::string name;
  /// Of its last row, to foresee how long the next will take.
  double lastSeconds = 0, lastOperations = 0;
};

/// The loop over a library's GEMMs, for layers that it has been described.
std::unique_ptr<Contender> createOneDnn(const LayerSpec &spec, int copies,
                                        std::string &error);
/// Our own lowering of the same IR without any fusion, from its artifact.
std::unique_ptr<Contender> createUnfused(const BenchModel &model,
                                         const std::string &entry,
                                         const std::string &base, int copies,
                                         std::string &error);

/// The largest difference of a row's elements by the row's largest element,
/// over those rows that agree; `outliers` counts the others, `rows` all.
double compareResults(const std::vector<HostTensor> &ours,
                      const std::vector<HostTensor> &theirs, double tolerance,
                      int64_t &outliers, int64_t &rows);

} // namespace moe::bench

#endif // MOE_MLIR_LIB_BENCH_CONTENDER_H
