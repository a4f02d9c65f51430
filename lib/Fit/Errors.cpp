//===- Errors.cpp - What formats lose -----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Errors.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

using namespace mlir;
using namespace moe;
using namespace moe::fit;
using namespace moe::quantize;

/// Values of a weight that are looked at, roughly, and rows of an expert at
/// least.
static constexpr int64_t kValues = 1 << 19, kRows = 4;
/// Rows of normal draws, which stand for all rows.
static constexpr int64_t kDrawnRows = 64;

/// Of the experts of a weight.
static double sumUp(const std::vector<double> &all, const ModelWeight &weight) {
  auto begin = all.begin() + weight.begin;
  return std::accumulate(begin, begin + weight.numExperts(), 0.0);
}

double Loss::getPart(const ModelWeight &weight) const {
  return experts.empty() ? square * static_cast<double>(weight.numExperts()) /
                               static_cast<double>(weight.allExperts())
                         : sumUp(experts, weight);
}

double Loss::getOwn(const ModelWeight &weight) const {
  return experts.empty() ? square
                         : sumUp(experts, weight) / sumUp(shares, weight);
}

static int64_t getSampledRows(const ModelWeight &weight) {
  int64_t rows = kValues / (weight.allExperts() * weight.columns());
  return std::min(std::max(rows, kRows), weight.rows());
}

/// The same everywhere: distributions of the standard library are not.
static std::vector<uint8_t> drawNormals(int64_t count) {
  std::mt19937_64 random(1);
  auto uniform = [&] {
    return (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
  };
  std::vector<float> values(count + 1);
  for (int64_t i = 0; i < count; i += 2) {
    double radius = std::sqrt(-2 * std::log(uniform()));
    double angle = 2 * M_PI * uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  std::vector<uint8_t> bytes(count * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

bool ErrorModel::readWeight(const ModelWeight &weight,
                            const HostTensor *&tensor,
                            std::string &error) const {
  func::FuncOp function = weight.function;
  std::string name = function.getSymName().str();
  tensor = options.tensors->find(name, weight.ownName());
  std::vector<int64_t> shape = weight.type.getShape().vec();
  std::string wanted = describeType(weight.from.number, shape);
  if (!tensor)
    error = "'" + weight.ownName() + "' of function '" + name +
            "' is missing: " + wanted;
  else if (tensor->shape != shape ||
           !llvm::is_contained(
               {DType::F64, DType::F32, DType::F16, DType::BF16},
               tensor->dtype))
    error = "'" + tensor->name + "' is " + tensor->describe() + " instead of " +
            wanted;
  return error.empty();
}

bool ErrorModel::readProfile(const ModelWeight &weight, Sample &sample,
                             std::string &error) const {
  func::FuncOp function = weight.function;
  const Profile::Weight *met =
      options.profile->find(function.getSymName().str(), weight.ownName());
  if (!met)
    return true;
  if (!quantize::checkProfile(*met, weight, error))
    return false;
  sample.importance = getImportance(*met);
  // An expert that nobody met is not free.
  double all = 0;
  for (const ActivationStatistics &expert : met->experts)
    all += static_cast<double>(expert.rows) + 1;
  for (const ActivationStatistics &expert : met->experts)
    sample.shares.push_back((static_cast<double>(expert.rows) + 1) / all);
  return true;
}

Loss ErrorModel::measureOne(const ModelWeight &weight, const Sample &sample,
                            const WeightType &to) const {
  std::string problem;
  func::FuncOp function = weight.function;
  std::optional<Converter> converter =
      Converter::get(sample.type, to, sample.rows, weight.columns(),
                     function.getLoc(), problem);
  if (!converter)
    return {INFINITY, {}, {}};
  Loss loss;
  loss.shares = sample.shares;
  WeightError all;
  int64_t count = sample.experts.size() == 1 && sample.importance.empty()
                      ? 1
                      : weight.allExperts();
  for (int64_t expert = 0; expert < count; ++expert) {
    WeightError own;
    ArrayRef<float> importance;
    if (!sample.importance.empty())
      importance = sample.importance[expert];
    if (!converter->convert(sample.get(expert), importance, /*threads=*/0, own,
                            problem))
      return {INFINITY, {}, {}};
    all.add(own);
    if (sample.shares.empty())
      continue;
    loss.experts.push_back(sample.shares[expert] * own.weighted() *
                           own.weighted());
    loss.square += loss.experts.back();
  }
  if (sample.shares.empty())
    loss.square = all.weighted() * all.weighted();
  return loss;
}

bool ErrorModel::measure(const ModelWeight &weight, ArrayRef<WeightType> types,
                         std::vector<Loss> &losses, std::string &error) {
  Sample sample;
  sample.rows = std::min(kDrawnRows, weight.rows());
  const HostTensor *tensor = nullptr;
  // What is stored already is not read again.
  bool isRead = options.tensors && !weight.from.format;
  if (isRead && !readWeight(weight, tensor, error))
    return false;
  if (options.profile && !readProfile(weight, sample, error))
    return false;
  bool isKnown = !tensor && sample.importance.empty();
  if (tensor || !isKnown)
    sample.rows = std::min(sample.rows, getSampledRows(weight));
  if (tensor) {
    sample.type.number = tensor->dtype;
    sample.rows = getSampledRows(weight);
    int64_t bytes =
        weight.columns() * static_cast<int64_t>(dtypeSize(tensor->dtype));
    for (int64_t expert = 0; expert < weight.allExperts(); ++expert) {
      std::vector<uint8_t> &rows = sample.experts.emplace_back();
      for (int64_t i = 0; i < sample.rows; ++i) {
        int64_t row = i * weight.rows() / sample.rows;
        const uint8_t *from =
            tensor->dataAs<uint8_t>() + (expert * weight.rows() + row) * bytes;
        rows.insert(rows.end(), from, from + bytes);
      }
    }
  } else {
    sample.experts.push_back(drawNormals(sample.rows * weight.columns()));
  }
  losses.clear();
  for (const WeightType &to : types) {
    auto key = std::make_pair(weight.columns(), to.name());
    auto it = known.find(key);
    Loss &loss = losses.emplace_back();
    // What a number is stored as it is loses nothing.
    if (to == weight.from)
      loss = {0, std::vector<double>(sample.shares.size()), sample.shares};
    else
      loss = isKnown && it != known.end() ? it->second
                                          : measureOne(weight, sample, to);
    if (isKnown && to != weight.from)
      known[key] = loss;
  }
  return true;
}
