//===- Check.h - Whether a raised function is still the same -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RAISE_CHECK_H
#define MOE_MLIR_RAISE_CHECK_H

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <string>

namespace moe {

/// Runs each public function of both modules in the interpreter: on random
/// inputs from `seed`, on tokens that are all zeros and all equal, which makes
/// scores equal and sends every token to the same experts, on large ones, whose
/// scores are infinitely sure, and where the number of tokens is dynamic on
/// one, seven and 33. False, with one line in `error`, if a result differs;
/// errors of the interpreter are emitted.
bool checkRaise(mlir::ModuleOp original, mlir::ModuleOp raised, uint64_t seed,
                std::string &error);

} // namespace moe

#endif // MOE_MLIR_RAISE_CHECK_H
