//===- Passes.h - Ordinary IR to parallel vector loops ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What happens to the linalg around MoE layers: elementwise fusion on tensors,
// and parallel, blocked vector loops on memrefs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES_H
#define MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES_H

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class RewritePatternSet;
} // namespace mlir

namespace moe {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "moe-mlir/Conversion/LinalgToVector/Passes.h.inc"

/// Patterns of moe-fuse-elementwise.
void populateFuseElementwisePatterns(mlir::RewritePatternSet &patterns);

} // namespace moe

#endif // MOE_MLIR_CONVERSION_LINALGTOVECTOR_PASSES_H
