//===- CompiledLayer.cpp - A layer of an artifact, ready to run -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "CompiledLayer.h"

#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Support/Random.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

using namespace moe;
using namespace moe::bench;
using run::now;

/// Seeds of weights are apart from those of activations.
static constexpr uint64_t kFirstCopy = 1000;

FillWeight bench::weightFiller(const LayerSpec &spec, int copy) {
  return [spec, copy](HostTensor &part, uint64_t first) {
    for (const HostTensor &weight : weightTensors(spec))
      if (weight.name == part.name)
        fillRandom(part, kFirstCopy + copy, weightScale(spec, weight), first);
  };
}

FunctionInputs bench::makeInputs(const BenchModel &model, int copy) {
  FunctionInputs inputs;
  inputs.seed = kFirstCopy + copy;
  if (model.baseline)
    inputs.range = [spec = *model.baseline](
                       const std::string &name, DType dtype,
                       const std::vector<int64_t> &shape, bool isActivation) {
      for (const HostTensor &weight : weightTensors(spec))
        if (weight.name == name)
          return RandomRange{0.0, weightScale(spec, weight)};
      return randomRange(name, dtype, shape, isActivation);
    };
  return inputs;
}

std::unique_ptr<CompiledLayer>
CompiledLayer::load(const BenchModel &model, const std::string &entry,
                    const std::string &base, int copies,
                    const std::string &device, std::string &error) {
  std::unique_ptr<CompiledLayer> layer(new CompiledLayer());
  layer->zipf = model.zipf;
  layer->artifact = run::Artifact::open(
      base + ".json", {}, error,
      device.empty() ? std::nullopt : std::optional<std::string>(device));
  if (!layer->artifact)
    return nullptr;
  const FunctionDesc *desc = layer->artifact->manifest().select(entry, error);
  if (!desc)
    return nullptr;
  if (desc->sizes.size() > 1) {
    error = "'" + desc->name + "' has " + std::to_string(desc->sizes.size()) +
            " sizes, and only that of the tokens is known here; moe-run "
            "--bench takes them all";
    return nullptr;
  }
  for (int copy = 0; copy < copies; ++copy) {
    FunctionInputs &own = layer->inputs.emplace_back(makeInputs(model, copy));
    for (const std::string &size : desc->sizes)
      own.sizes[size] = 1;
    layer->calls.push_back(run::Call::prepare(*layer->artifact, desc->name, own,
                                              /*threads=*/1, error));
    if (!layer->calls.back())
      return nullptr;
  }
  return layer;
}

bool CompiledLayer::setTokens(int64_t tokens, std::string &error) {
  for (size_t copy = 0; copy < calls.size(); ++copy) {
    for (auto &[name, size] : inputs[copy].sizes)
      size = tokens;
    if (!calls[copy]->setSizes(inputs[copy], error))
      return false;
  }
  return true;
}

void CompiledLayer::setThreads(int threads) {
  for (std::unique_ptr<run::Call> &call : calls)
    call->setThreads(threads);
}

/// Makes rows copies of others: of row n with a weight of 1 / (n + 1)^`zipf`.
static void repeatRows(HostTensor &tensor, double zipf, uint64_t seed) {
  const int64_t rows = tensor.shape.empty() ? 0 : tensor.shape[0];
  if (rows < 2)
    return;
  std::vector<double> sums(rows);
  double sum = 0;
  for (int64_t n = 0; n < rows; ++n)
    sums[n] = sum += std::pow(n + 1.0, -zipf);
  const size_t bytes = tensor.numBytes() / rows;
  const std::vector<char> all(tensor.dataAs<char>(),
                              tensor.dataAs<char>() + tensor.numBytes());
  std::mt19937_64 random(seed);
  for (int64_t row = 0; row < rows; ++row) {
    // The same everywhere, which distributions of the library are not.
    double at = (random() >> 11) * 0x1p-53 * sum;
    int64_t from = std::lower_bound(sums.begin(), sums.end(), at) - sums.begin();
    std::memcpy(tensor.dataAs<char>() + row * bytes,
                all.data() + std::min(from, rows - 1) * bytes, bytes);
  }
}

void CompiledLayer::refill(int copy, uint64_t seed) {
  for (HostTensor &tensor : calls[copy]->activations()) {
    fillRandom(tensor, seed,
               randomRange(tensor.name, tensor.dtype, tensor.shape, true));
    if (zipf > 0)
      repeatRows(tensor, zipf, seed);
  }
}

std::string CompiledLayer::variant() const { return calls.front()->variant(); }

bool CompiledLayer::tracePhases(int copy, Named &phases, run::LoopTimes &loops,
                                std::string &error) {
  std::map<std::string, double> begun;
  calls[copy]->setTrace([&](const moe_trace_event &event) {
    if (event.kind == MOE_TRACE_PHASE_BEGIN) {
      begun[event.phase] = now();
    } else if (event.kind == MOE_TRACE_PHASE_END) {
      double seconds = now() - begun[event.phase];
      for (auto &[name, total] : phases)
        if (name == event.phase) {
          total += seconds;
          return;
        }
      phases.emplace_back(event.phase, seconds);
    }
  });
  calls[copy]->setLoopTimes(&loops);
  bool ok = calls[copy]->invoke(error);
  calls[copy]->setLoopTimes(nullptr);
  calls[copy]->setTrace({});
  return ok;
}
