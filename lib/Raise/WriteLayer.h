//===- WriteLayer.h - The ops of a layer --------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_WRITELAYER_H
#define MOE_MLIR_RAISE_WRITELAYER_H

#include "ExpertBody.h"

namespace moe::raise {

/// Writes dispatch, experts and combine by `routing`, with `result` of `block`,
/// which `body` wrote and which becomes empty, as what an expert does. The
/// result is of `type`, [T, H].
mlir::Value writeLayer(mlir::OpBuilder &b, mlir::Location loc, ExpertBody &body,
                       mlir::Block &block, mlir::Value result,
                       mlir::Value routing, mlir::RankedTensorType type);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_WRITELAYER_H
