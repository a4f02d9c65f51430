//===- GPTQ.cpp - GPTQ weights in an order of activations -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "GPTQ.h"

#include "moe-mlir/Support/Parallel.h"

using namespace moe;

/// Codes in a word.
static constexpr int64_t perWord = 8;

bool detail::decodeGPTQ(const Checkpoint &checkpoint, llvm::StringRef qweight,
                        int64_t offset, HostTensor &result,
                        std::string &error) {
  llvm::StringRef stem = qweight;
  auto refuse = [&](const std::string &what) {
    error = checkpoint.getPath() + ": tensor '" + qweight.str() + "': " + what;
    return false;
  };
  if (!stem.consume_back(".qweight"))
    return refuse("GPTQ's codes are called '.qweight'");
  auto find = [&](llvm::StringRef suffix, HostTensor &tensor, size_t rank) {
    std::string name = (stem + suffix).str();
    const CheckpointTensor *stored = checkpoint.find(name);
    if (!stored)
      return refuse("without '" + name + "'");
    if (!checkpoint.view(*stored, tensor, error))
      return false;
    bool isScale = suffix == ".scales";
    if (tensor.shape.size() != rank ||
        (isScale ? !isFloat(tensor.dtype) : tensor.dtype != DType::I32))
      return refuse("'" + name + "' is " + tensor.describe());
    return true;
  };
  HostTensor codes, zeros, scales, groups;
  if (!find(".qweight", codes, 2) || !find(".qzeros", zeros, 2) ||
      !find(".scales", scales, 2) || !find(".g_idx", groups, 1))
    return false;
  int64_t n = codes.shape[1], k = codes.shape[0] * perWord;
  int64_t count = scales.shape[0];
  if (scales.shape[1] != n || zeros.shape[0] != count ||
      zeros.shape[1] * perWord != n || groups.shape[0] != k)
    return refuse(codes.describe() + " does not go with zeros of " +
                  zeros.describe() + ", scales of " + scales.describe() +
                  " and groups of " + groups.describe());
  for (int64_t i = 0; i < k; ++i)
    if (double group = groups.get(i); group < 0 || group >= count)
      return refuse("g_idx names group " + std::to_string(int64_t(group)) +
                    " of " + std::to_string(count));
  result = HostTensor::allocate(DType::F32, {n, k}, qweight.str());
  if (!result.data)
    return refuse("no memory for " + result.describe());
  auto nibble = [](const HostTensor &words, int64_t word, int64_t at) {
    return words.dataAs<uint32_t>()[word] >> (4 * at) & 15;
  };
  parallelFor(n, [&](int64_t row) {
    float *out = result.dataAs<float>() + row * k;
    for (int64_t i = 0; i < k; ++i) {
      int64_t group = groups.dataAs<int32_t>()[i];
      int64_t zero = nibble(zeros, group * (n / perWord) + row / perWord,
                            row % perWord);
      int64_t code = nibble(codes, i / perWord * n + row, i % perWord);
      // The zero is one of four bits as well.
      out[i] = static_cast<float>(scales.get(group * n + row) *
                                  double(code - ((zero + offset) & 15)));
    }
  });
  return true;
}
