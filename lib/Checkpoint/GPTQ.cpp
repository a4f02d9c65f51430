//===- GPTQ.cpp - GPTQ weights in an order of activations -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GPTQ.h"

using namespace moe;
using namespace moe::detail;

/// Codes in a word.
static constexpr int64_t perWord = 8;

std::optional<GPTQWeights> GPTQWeights::open(const Checkpoint &checkpoint,
                                             llvm::StringRef qweight,
                                             int64_t offset,
                                             std::string &error) {
  llvm::StringRef stem = qweight;
  auto refuse = [&](const std::string &what) {
    error = checkpoint.getPath() + ": tensor '" + qweight.str() + "': " + what;
    return std::nullopt;
  };
  if (!stem.consume_back(".qweight"))
    return refuse("GPTQ's codes are called '.qweight'");
  auto find = [&](llvm::StringRef suffix, HostTensor &tensor, size_t rank) {
    std::string name = (stem + suffix).str();
    const CheckpointTensor *stored = checkpoint.find(name);
    if (!stored)
      refuse("without '" + name + "'");
    if (!stored || !checkpoint.view(*stored, tensor, error))
      return false;
    bool fits = suffix == ".scales" ? isFloat(tensor.dtype)
                                    : tensor.dtype == DType::I32;
    if (tensor.shape.size() != rank || !fits)
      refuse("'" + name + "' is " + tensor.describe());
    return error.empty();
  };
  error.clear();
  GPTQWeights own;
  own.offset = offset;
  if (!find(".qweight", own.codes, 2) || !find(".qzeros", own.zeros, 2) ||
      !find(".scales", own.scales, 2) || !find(".g_idx", own.groups, 1))
    return std::nullopt;
  int64_t n = own.codes.shape[1], k = own.groups.shape[0];
  int64_t count = own.scales.shape[0];
  if (k % perWord != 0 || own.codes.shape[0] != k / perWord ||
      own.scales.shape[1] != n || own.zeros.shape[0] != count ||
      n % perWord != 0 || own.zeros.shape[1] != n / perWord)
    return refuse(own.codes.describe() + " does not go with zeros of " +
                  own.zeros.describe() + ", scales of " +
                  own.scales.describe() + " and groups of " +
                  own.groups.describe());
  for (int64_t i = 0; i < k; ++i)
    if (int32_t group = own.groups.dataAs<int32_t>()[i];
        group < 0 || group >= count)
      return refuse("g_idx names group " + std::to_string(group) + " of " +
                    std::to_string(count));
  return own;
}

static int64_t getNibble(const HostTensor &words, int64_t word, int64_t at) {
  return words.dataAs<uint32_t>()[word] >> (4 * at) & 15;
}

void GPTQWeights::decode(int64_t first, int64_t count, float *out) const {
  int64_t n = codes.shape[1], size = groups.shape[0];
  for (int64_t element = first; element < first + count; ++element) {
    int64_t row = element / size, k = element % size;
    int64_t group = groups.dataAs<int32_t>()[k];
    int64_t code = getNibble(codes, k / perWord * n + row, k % perWord),
            zero = getNibble(zeros, group * (n / perWord) + row / perWord,
                             row % perWord);
    // The zero is one of four bits as well.
    *out++ = static_cast<float>(scales.get(group * n + row) *
                                double(code - ((zero + offset) & 15)));
  }
}
