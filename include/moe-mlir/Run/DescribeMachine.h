//===- DescribeMachine.h - This machine as a chip ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_DESCRIBEMACHINE_H
#define MOE_MLIR_RUN_DESCRIBEMACHINE_H

#include "moe-mlir/Run/MachineRates.h"

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::run {

/// The text of a file for `--target-description`: the instruction set of the
/// best known chip that runs here, and all else as measured. False, and an
/// error, if this machine runs none, or if `name` is none.
bool describeMachine(mlir::MLIRContext *context, const std::string &name,
                     const MachineRates &rates, std::string &text,
                     std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_DESCRIBEMACHINE_H
