//===- LimitCapacity.h - How much of a group an expert takes --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_LANES_LIMITCAPACITY_H
#define MOE_MLIR_TARGET_LANES_LIMITCAPACITY_H

#include "moe-mlir/Target/Lanes/Emitter.h"

#include "moek/Moek.h"

namespace moe {

/// What an expert keeps of a group of `tokens`, an index: an i32.
mlir::Value emitLimitCapacity(Emitter &e, moek::LimitOp op, mlir::Value tokens);

} // namespace moe

#endif // MOE_MLIR_TARGET_LANES_LIMITCAPACITY_H
