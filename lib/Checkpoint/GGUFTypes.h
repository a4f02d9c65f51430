//===- GGUFTypes.h - Types of tensors in GGUF files -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// By the numbers that files have for them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CHECKPOINT_GGUFTYPES_H
#define MOE_LIB_CHECKPOINT_GGUFTYPES_H

#include "moe-mlir/Support/HostTensor.h"

#include <optional>

namespace moe::detail {

struct GGMLType {
  uint32_t number;
  /// As CheckpointTensor::type.
  const char *name;
  int64_t blockElements, blockBytes;
  std::optional<DType> dtype;
};

/// Null for a type that cannot be read.
const GGMLType *findGGMLType(uint32_t number);
/// What to call such a type.
std::string nameOtherGGMLType(uint32_t number);

} // namespace moe::detail

#endif // MOE_LIB_CHECKPOINT_GGUFTYPES_H
