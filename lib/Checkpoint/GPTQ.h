//===- GPTQ.h - GPTQ weights in an order of activations ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// With `desc_act` the k of a group are anywhere in a row, each named by
// `g_idx`. No format of kernels has such groups: these weights are decoded when
// they are read.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_GPTQ_H
#define MOE_LIB_CHECKPOINT_GPTQ_H

#include "moe-mlir/Checkpoint/Checkpoint.h"

#include <optional>

namespace moe::detail {

/// The weights [N, K] in f32 that `qweight`, an I32 [K/8, N], and the tensors
/// beside it stand for: `qzeros` I32 [G, N/8], `scales` [G, N] of floats and
/// `g_idx` I32 [K], which gives each k its group of G. Each weight is
/// scale * (code - zero), rounded once.
class GPTQWeights {
public:
  /// Zeros are stored less `offset`. Nothing with a message unless all tensors
  /// are there and fit.
  static std::optional<GPTQWeights> open(const Checkpoint &checkpoint,
                                         llvm::StringRef qweight,
                                         int64_t offset, std::string &error);

  std::vector<int64_t> getShape() const {
    return {codes.shape[1], groups.shape[0]};
  }
  /// Elements [first, first + count) in row-major order.
  void decode(int64_t first, int64_t count, float *out) const;

private:
  HostTensor codes, zeros, scales, groups;
  int64_t offset = 0;
};

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_GPTQ_H
