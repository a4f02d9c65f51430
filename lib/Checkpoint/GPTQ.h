//===- GPTQ.h - GPTQ weights in an order of activations ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// With `desc_act` the k of a group are anywhere in a row, each named by `g_idx`.
// No format of kernels has such groups: these weights are decoded when they are
// read.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_GPTQ_H
#define MOE_LIB_CHECKPOINT_GPTQ_H

#include "moe-mlir/Checkpoint/Checkpoint.h"

namespace moe::detail {

/// The weights [N, K] in f32 that `qweight`, an I32 [K/8, N], and the tensors
/// beside it stand for: `qzeros` I32 [G, N/8], `scales` [G, N] of floats and
/// `g_idx` I32 [K], which gives each k its group of G. Zeros are stored less
/// `offset`. Each weight is scale * (code - zero), rounded once. False with a
/// message.
bool decodeGPTQ(const Checkpoint &checkpoint, llvm::StringRef qweight,
                int64_t offset, HostTensor &result, std::string &error);

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_GPTQ_H
