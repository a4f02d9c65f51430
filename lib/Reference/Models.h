//===- Models.h - Reference models of attributes ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What registerReferenceModels attaches, one function for each file.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_MODELS_H
#define MOE_LIB_REFERENCE_MODELS_H

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::reference {

void attachRouterModels(mlir::MLIRContext *context);
void attachRaggedRouterModels(mlir::MLIRContext *context);
void attachSinkhornModel(mlir::MLIRContext *context);
void attachTokenRouterModels(mlir::MLIRContext *context);
void attachWeighingModels(mlir::MLIRContext *context);
void attachActivationModels(mlir::MLIRContext *context);
void attachBalanceModels(mlir::MLIRContext *context);
void attachFormatModels(mlir::MLIRContext *context);
void attachSparseFormatModels(mlir::MLIRContext *context);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_MODELS_H
