//===- ReferenceBalance.h - Metrics of a routing in float64 -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interface through which the interpreter evaluates the metrics of
// `moe.balance`, and the plain data it hands them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_REFERENCEBALANCE_H
#define MOE_MLIR_REFERENCE_REFERENCEBALANCE_H

#include "mlir/IR/Attributes.h"
#include "llvm/ADT/StringMap.h"
#include <cstdint>
#include <vector>

namespace moe::reference {

/// A named input in row-major order.
struct BalanceTensor {
  std::vector<int64_t> shape;
  std::vector<double> values;
};

/// What a metric may look at.
struct BalanceData {
  int64_t tokens = 0, experts = 0, slots = 0;
  /// The expert in each slot of each token, -1 = unused: [tokens * slots].
  std::vector<int32_t> expertOf;
  llvm::StringMap<BalanceTensor> inputs;

  const BalanceTensor *find(llvm::StringRef name) const {
    auto it = inputs.find(name);
    return it == inputs.end() ? nullptr : &it->second;
  }
};

} // namespace moe::reference

#include "moe-mlir/Reference/ReferenceBalance.h.inc"

#endif // MOE_MLIR_REFERENCE_REFERENCEBALANCE_H
