//===- BatchPolicyInterface.h - Policies that see all tokens ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_MOETOMOEK_BATCHPOLICYINTERFACE_H
#define MOE_MLIR_CONVERSION_MOETOMOEK_BATCHPOLICYINTERFACE_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include "mlir/IR/ValueRange.h"

#include "moe-mlir/Conversion/MoeToMoek/BatchPolicyInterface.h.inc"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe {

/// Attaches the lowerings of the project's own policies that see all tokens.
void registerBatchPolicyLowerings(mlir::DialectRegistry &registry);

} // namespace moe

#endif // MOE_MLIR_CONVERSION_MOETOMOEK_BATCHPOLICYINTERFACE_H
