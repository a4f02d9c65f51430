//===- Layer.cpp - The MoE layer a benchmark row runs ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights, work and the plain router.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Layer.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace moe;
using namespace moe::bench;

std::vector<HostTensor> bench::weightTensors(const LayerSpec &spec) {
  std::vector<HostTensor> weights;
  auto add = [&](const char *name, DType dtype, std::vector<int64_t> shape) {
    HostTensor tensor;
    tensor.name = name;
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    weights.push_back(std::move(tensor));
  };
  const int64_t e = spec.experts, h = spec.hidden, i = spec.intermediate;
  add("router.weight", DType::F32, {e, h});
  if (spec.routerBias)
    add("router.bias", DType::F32, {e});
  if (spec.correctionBias)
    add("router.correction_bias", DType::F32, {e});
  add("experts.gate_proj", spec.weightType, {e, i, h});
  add("experts.up_proj", spec.weightType, {e, i, h});
  add("experts.down_proj", spec.weightType, {e, h, i});
  if (spec.expertBias) {
    add("experts.gate_proj_bias", DType::F32, {e, i});
    add("experts.up_proj_bias", DType::F32, {e, i});
    add("experts.down_proj_bias", DType::F32, {e, h});
  }
  if (int64_t s = spec.sharedIntermediate) {
    add("shared.gate_proj", spec.weightType, {s, h});
    add("shared.up_proj", spec.weightType, {s, h});
    add("shared.down_proj", spec.weightType, {h, s});
  }
  return weights;
}

double bench::weightScale(const LayerSpec &spec, const HostTensor &weight) {
  if (weight.name.find("bias") != std::string::npos)
    return 0.1;
  // A sum of n products with x of variance one has variance one when the
  // weights have 1/n, and a uniform distribution has a third of its half
  // width squared. Logits are wider: real routers are not indifferent.
  double scale = std::sqrt(3.0 / weight.shape.back());
  return weight.name == "router.weight" ? 2 * scale : scale;
}

LayerWork bench::layerWork(const LayerSpec &spec, int64_t assignments,
                           int64_t distinct, int64_t tokens) {
  double h = spec.hidden, i = spec.intermediate, s = spec.sharedIntermediate;
  double t = tokens, element = dtypeSize(spec.weightType);
  LayerWork work;
  work.operations = 2 * 3 * h * i * assignments + 2 * 3 * h * s * t +
                    2 * t * spec.experts * h;
  work.bytes = 3 * h * i * element * distinct + 3 * h * s * element +
               4 * spec.experts * h + 2 * 4 * t * h;
  if (spec.expertBias)
    work.bytes += 4 * (2 * i + h) * distinct;
  return work;
}

void bench::computeLogits(const LayerSpec &spec, const float *x,
                          const float *matrix, const float *bias,
                          int64_t tokens, std::vector<float> &logits) {
  const int64_t e = spec.experts, h = spec.hidden;
  logits.resize(tokens * e);
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < e; ++j) {
      const float *row = x + t * h, *column = matrix + j * h;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < h; ++k)
        sum += row[k] * column[k];
      logits[t * e + j] = sum + (bias ? bias[j] : 0.0f);
    }
  }
}

/// The best `count` of `values`, best first; of equals the lower index.
/// Entries at minus infinity are not selected.
static void selectBest(const float *values, int64_t size, int64_t count,
                       int32_t *best) {
  int64_t filled = 0;
  for (int64_t i = 0; i < size; ++i) {
    float value = values[i];
    if (filled == count && !(value > values[best[count - 1]]))
      continue;
    if (value == -std::numeric_limits<float>::infinity())
      continue;
    int64_t at = filled < count ? filled++ : count - 1;
    for (; at > 0 && value > values[best[at - 1]]; --at)
      best[at] = best[at - 1];
    best[at] = static_cast<int32_t>(i);
  }
  for (; filled < count; ++filled)
    best[filled] = -1;
}

/// Sets the members of all but the best groups to minus infinity.
static void maskGroups(const LayerSpec &spec, float *values) {
  const int64_t size = spec.experts / spec.groups;
  std::vector<float> scores(spec.groups);
  for (int64_t g = 0; g < spec.groups; ++g) {
    int32_t best[2];
    selectBest(values + g * size, size, 2, best);
    scores[g] = values[g * size + best[0]] + values[g * size + best[1]];
  }
  std::vector<int32_t> kept(spec.keptGroups);
  selectBest(scores.data(), spec.groups, spec.keptGroups, kept.data());
  for (int64_t g = 0; g < spec.groups; ++g)
    if (std::find(kept.begin(), kept.end(), g) == kept.end())
      std::fill_n(values + g * size, size,
                  -std::numeric_limits<float>::infinity());
}

static void softmax(float *values, int64_t size) {
  float top = *std::max_element(values, values + size);
  float sum = 0;
  for (int64_t i = 0; i < size; ++i)
    sum += values[i] = std::exp(values[i] - top);
  for (int64_t i = 0; i < size; ++i)
    values[i] /= sum;
}

static void routeToken(const LayerSpec &spec, const float *logits,
                       const float *correction, float *scores, float *choice,
                       int32_t *experts, float *weights) {
  const int64_t e = spec.experts;
  std::copy_n(logits, e, scores);
  if (spec.score == Score::SoftmaxBefore)
    softmax(scores, e);
  if (spec.score == Score::Sigmoid)
    for (int64_t i = 0; i < e; ++i)
      scores[i] = 1.0f / (1.0f + std::exp(-scores[i]));
  for (int64_t i = 0; i < e; ++i)
    choice[i] = scores[i] + (correction ? correction[i] : 0.0f);
  if (spec.groups > 1)
    maskGroups(spec, choice);
  selectBest(choice, e, spec.slots, experts);

  for (int64_t k = 0; k < spec.slots; ++k)
    weights[k] = scores[experts[k]];
  if (spec.score == Score::SoftmaxAfter)
    softmax(weights, spec.slots);
  float factor = static_cast<float>(spec.scale);
  if (spec.renormalise) {
    float sum = 0;
    for (int64_t k = 0; k < spec.slots; ++k)
      sum += weights[k];
    factor /= sum;
  }
  for (int64_t k = 0; k < spec.slots; ++k)
    weights[k] *= factor;
}

void bench::selectExperts(const LayerSpec &spec, const float *logits,
                          const float *correction, int64_t tokens,
                          Routing &routing) {
  const int64_t e = spec.experts;
  routing.experts.resize(tokens * spec.slots);
  routing.weights.resize(tokens * spec.slots);
  // Starting the threads costs more than a few tokens do.
#pragma omp parallel if (tokens >= 16)
  {
    std::vector<float> scratch(2 * e);
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; ++t)
      routeToken(spec, logits + t * e, correction, scratch.data(),
                 scratch.data() + e, routing.experts.data() + t * spec.slots,
                 routing.weights.data() + t * spec.slots);
  }
}
