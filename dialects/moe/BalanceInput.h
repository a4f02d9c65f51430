//===- BalanceInput.h - What a metric of a routing reads -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One of the things BalanceMetricAttrInterface::getMetricInputs lists.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_BALANCEINPUT_H
#define MOE_BALANCEINPUT_H

#include "llvm/ADT/StringRef.h"

namespace moe {

/// A tensor that a metric of `moe.balance` reads by its name.
struct BalanceInput {
  llvm::StringRef name;
  /// A letter for each dimension: T tokens, E experts, and any other letter for
  /// a size of the metric's own.
  llvm::StringRef shape;
  /// Of floats of any width, or else of i32.
  bool isFloat = true;
  bool isOptional = false;
};

} // namespace moe

#endif // MOE_BALANCEINPUT_H
