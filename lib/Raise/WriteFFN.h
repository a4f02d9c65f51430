//===- WriteFFN.h - A moe.ffn out of the body of an expert -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Most experts are two or three products around elementwise code. As a moe.ffn
// they are what an imported model has, and all that is done to that is done to
// them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_WRITEFFN_H
#define MOE_MLIR_RAISE_WRITEFFN_H

#include "moe/Moe.h"

namespace moe::raise {

/// Writes a moe.ffn at the end of `block`, which ExpertBody wrote, that is
/// `result`. Null if it is something else. An activation with a name gets that;
/// 1 / a * b is b / a for this, which differs by a rounding.
FFNOp writeFFN(mlir::Block &block, mlir::Value result, mlir::Location loc);

} // namespace moe::raise

#endif // MOE_MLIR_RAISE_WRITEFFN_H
