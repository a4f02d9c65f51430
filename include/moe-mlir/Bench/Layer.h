//===- Layer.h - The MoE layer a benchmark row runs ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Geometry and router of one layer as the baselines see it, the work it does
// for a routing, and their own router. Deliberately apart from the compiler:
// the loops that kernels are compared with must not inherit its mistakes.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_LAYER_H
#define MOE_MLIR_BENCH_LAYER_H

#include "moe-mlir/Support/HostTensor.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace moe::bench {

enum class Score {
  SoftmaxBefore, ///< over all experts, then select
  SoftmaxAfter,  ///< over the selected logits
  Sigmoid,       ///< of each expert, then select
};
enum class Activation { Silu, ClampedSwiglu };

struct LayerSpec {
  std::string model;
  int64_t hidden = 0, intermediate = 0, experts = 0, slots = 0;
  int64_t sharedIntermediate = 0; ///< 0: no shared expert
  Score score = Score::SoftmaxBefore;
  bool renormalise = false;
  double scale = 1.0;
  /// Groups of experts, the best `keptGroups` of which (by the sum of their
  /// two best) are selected from.
  int64_t groups = 1, keptGroups = 1;
  bool routerBias = false, correctionBias = false, expertBias = false;
  Activation activation = Activation::Silu;
  DType weightType = DType::F32;
};

/// The canonical weight tensors of the layer, by their names in model IR:
/// type and shape, no data.
std::vector<HostTensor> weightTensors(const LayerSpec &spec);
/// Half the width of the uniform distribution that keeps activations O(1).
double weightScale(const LayerSpec &spec, const HostTensor &weight);
struct Routing {
  std::vector<int32_t> experts; ///< [T, K], best first
  std::vector<float> weights;   ///< [T, K]
};

/// Operations and least bytes moved of the layer, counted by hand: what the
/// count of the IR (moe-mlir/Analysis/Work.h) has to agree with.
struct LayerWork {
  double operations = 0, bytes = 0;
};
/// Multiply-adds count twice. Bytes: the weights of the `distinct` experts that
/// were chosen, the router, x and y, each once.
LayerWork layerWork(const LayerSpec &spec, int64_t assignments,
                    int64_t distinct, int64_t tokens);

/// Chooses experts and weights from logits [T, E]. `correction` [E] is added
/// for selecting only; null without. Runs on the threads of the pool.
void selectExperts(const LayerSpec &spec, const float *logits,
                   const float *correction, int64_t tokens, Routing &routing);
/// x [T, H] times the router's matrix [E, H], plus the bias if not null.
void computeLogits(const LayerSpec &spec, const float *x, const float *matrix,
                   const float *bias, int64_t tokens,
                   std::vector<float> &logits);

/// Makes up the elements of `part`, which begins with element `first` of the
/// weight it is named after: a layer never has to be held in two layouts.
using FillWeight = std::function<void(HostTensor &part, uint64_t first)>;

/// A second implementation of the layer, to put the compiled kernels beside.
class Baseline {
public:
  virtual ~Baseline() = default;
  /// Takes over a weight of weightTensors(), whose elements come from `fill`.
  virtual bool setWeight(const HostTensor &weight, const FillWeight &fill,
                         std::string &error) = 0;
  /// Untimed: anything a caller could have done once for such a batch (code
  /// for its row counts, buffers), on the pool's current number of threads.
  virtual bool prepare(const float *x, int64_t tokens, std::string &error) = 0;
  virtual bool run(const float *x, float *y, int64_t tokens,
                   std::string &error) = 0;
};

/// The loop over a library GEMM; null when built without the library.
std::unique_ptr<Baseline> createOneDnnLoop(const LayerSpec &spec,
                                           std::string &error);
/// "2.6.3"; empty when built without oneDNN.
std::string oneDnnVersion();

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_LAYER_H
