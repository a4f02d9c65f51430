//===- ReferenceInterfaces.h - What attributes mean, in float64 -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Interfaces through which the interpreter evaluates selection policies,
// weighings and activations.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H
#define MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H

#include "mlir/IR/Attributes.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/LogicalResult.h"

#include <algorithm>
#include <string>
#include <vector>

namespace moe::reference {

/// An operand that a router gives to its policy in `using`; integers are exact.
struct PolicyOperand {
  llvm::SmallVector<int64_t> shape;
  std::vector<double> data; ///< Row-major.
};

/// What a selection policy sees.
struct PolicyInputs {
  int64_t tokens = 0, experts = 0, slots = 0;
  std::vector<double> scores; ///< [tokens, experts]; empty without `select`.
  std::vector<PolicyOperand> operands;

  llvm::ArrayRef<double> row(int64_t token) const {
    return llvm::ArrayRef(scores).slice(token * experts, experts);
  }
};

/// What it chooses.
struct PolicyChoice {
  std::vector<int32_t> experts; ///< [tokens, slots], filled with -1.
  std::vector<double> values;   ///< [tokens, slots] of policies that provide
                                ///< values, filled with 0; else empty.
  std::string error;            ///< Set on failure, names the token.
};

/// One of the tensors that a matrix of weights is stored in; for formats that
/// have no rows there, as many bytes.
struct StoredRows {
  const uint8_t *data = nullptr;
  int64_t rowBytes = 0, bytes = 0;

  const uint8_t *row(int64_t index) const { return data + index * rowBytes; }
};

} // namespace moe::reference

#include "moe-mlir/Reference/ReferenceInterfaces.h.inc"

#endif // MOE_MLIR_REFERENCE_REFERENCEINTERFACES_H
