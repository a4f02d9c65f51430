//===- Contender.cpp - What a layer is put beside ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Contender.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace moe;
using namespace moe::bench;

namespace {

class OneDnn final : public Contender {
public:
  std::vector<std::unique_ptr<Baseline>> loops;
  int64_t hidden = 0, tokens = 0;
  HostTensor y;

  bool setBatch(int64_t number, int, std::string &error) override {
    tokens = number;
    y = HostTensor::allocate(DType::F32, {tokens, hidden}, "y");
    if (!y.data)
      error = "no memory for " + std::to_string(tokens) + " tokens";
    return y.data;
  }
  bool prepare(CompiledLayer &ours, int copy, uint64_t,
               std::string &error) override {
    return loops[copy]->prepare(inputOf(ours, copy), tokens, error);
  }
  bool run(CompiledLayer &ours, int copy, std::string &error) override {
    return loops[copy]->run(inputOf(ours, copy), y.dataAs<float>(), tokens,
                            error);
  }
  std::vector<HostTensor> results(int) const override { return {y}; }

private:
  static const float *inputOf(CompiledLayer &ours, int copy) {
    return ours.call(copy).activations().front().dataAs<float>();
  }
};

class Unfused final : public Contender {
public:
  std::unique_ptr<CompiledLayer> layer;

  bool setBatch(int64_t tokens, int threads, std::string &error) override {
    layer->setThreads(threads);
    return layer->setTokens(tokens, error);
  }
  bool prepare(CompiledLayer &, int copy, uint64_t seed,
               std::string &) override {
    layer->refill(copy, seed);
    return true;
  }
  bool run(CompiledLayer &, int copy, std::string &error) override {
    return layer->run(copy, error);
  }
  std::vector<HostTensor> results(int copy) const override {
    return layer->call(copy).results();
  }
};

} // namespace

std::unique_ptr<Contender> bench::createOneDnn(const LayerSpec &spec,
                                               int copies, std::string &error) {
  auto contender = std::make_unique<OneDnn>();
  contender->name = "onednn";
  contender->hidden = spec.hidden;
  for (int copy = 0; copy < copies; ++copy) {
    std::unique_ptr<Baseline> loop = createOneDnnLoop(spec, error);
    if (!loop)
      return nullptr;
    for (const HostTensor &weight : weightTensors(spec))
      if (!loop->setWeight(weight, weightFiller(spec, copy), error))
        return nullptr;
    contender->loops.push_back(std::move(loop));
  }
  return contender;
}

std::unique_ptr<Contender>
bench::createUnfused(const BenchModel &model, const std::string &entry,
                     const std::string &base, int copies, std::string &error) {
  auto contender = std::make_unique<Unfused>();
  contender->name = "unfused";
  contender->layer = CompiledLayer::load(model, entry, base, copies, "", error);
  if (!contender->layer)
    return nullptr;
  return contender;
}

double bench::compareResults(const std::vector<HostTensor> &ours,
                             const std::vector<HostTensor> &theirs,
                             double tolerance, int64_t &outliers,
                             int64_t &rows) {
  double worst = 0;
  outliers = rows = 0;
  for (auto [mine, other] : llvm::zip_equal(ours, theirs)) {
    const int64_t height = mine.shape.empty() ? 1 : mine.shape[0];
    const int64_t width = height ? mine.numElements() / height : 0;
    rows += height;
    for (int64_t row = 0; row < height; ++row) {
      double difference = 0, largest = 0;
      bool isNumber = true;
      for (int64_t i = row * width; i < (row + 1) * width; ++i) {
        double a = mine.get(i), b = other.get(i);
        isNumber &= std::isfinite(a) && std::isfinite(b);
        difference = std::max(difference, std::fabs(a - b));
        largest = std::max(largest, std::fabs(b));
      }
      double relative = largest > 0 ? difference / largest : difference;
      if (!isNumber || relative > tolerance)
        ++outliers;
      else
        worst = std::max(worst, relative);
    }
  }
  return worst;
}
