//===- Decode.h - Layers for single tokens ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which ops are a layer whose few tokens need no lists of rows: a routing, two
// matmuls, and the sum of what they make.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_TARGET_GPU_NVIDIA_DECODE_H
#define MOE_MLIR_LIB_TARGET_GPU_NVIDIA_DECODE_H

#include "moek/Moek.h"
#include "moek/RoutingParts.h"

#include <optional>

namespace moe::nvidia {

/// On tensors or on memory.
struct DecodeChain {
  /// Makes the lists: `moek.route` or `moek.index`.
  mlir::Operation *router = nullptr;
  moek::RoutingParts routing;
  /// On memory: rounds the tokens' rows, if nobody else needs them rounded.
  mlir::Operation *rounding = nullptr;
  /// The tokens' rows, as they were before.
  mlir::Value x;
  moek::GroupedMatmulOp rows, sums;
  moek::CombineOp combine;
  int64_t experts = 0, slots = 0;

  /// In the order of the block.
  mlir::SmallVector<mlir::Operation *> getOps();
};

/// The chain that ends at `combine`, if nothing else reads what its ops hand
/// on.
std::optional<DecodeChain> findDecodeChain(moek::CombineOp combine);

} // namespace moe::nvidia

#endif // MOE_MLIR_LIB_TARGET_GPU_NVIDIA_DECODE_H
