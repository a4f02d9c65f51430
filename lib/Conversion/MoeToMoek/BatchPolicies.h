//===- BatchPolicies.h - Routers that see all tokens ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A policy with `seesAllTokens()` is lowered in three steps, the same for all
// but the first: its `BatchPolicyLoweringAttrInterface` builds the chosen
// experts, the conversion takes and weighs their values, `moek.index` counts
// and packs.
//
// To add one: a file of its own here with a model
//
//   struct FooLowering
//       : BatchPolicyLoweringAttrInterface::ExternalModel<FooLowering, FooAttr>
//       {
//     Value buildIndices(Attribute policy, OpBuilder &b, Location loc,
//                        Value scores, ValueRange operands,
//                        int64_t slots) const;
//   };
//   void moe::attachFooLowering(MLIRContext *context) {
//     FooAttr::attachInterface<FooLowering>(*context);
//   }
//
// then a declaration below and a line in registerBatchPolicyLowerings
// (BatchPolicies.cpp). ExpertChoice.cpp is an example with a kernel op.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_BATCHPOLICIES_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_BATCHPOLICIES_H

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/BatchPolicyInterface.h"

namespace mlir {
class RewritePatternSet;
class TypeConverter;
} // namespace mlir

namespace moe {

void attachExpertChoiceLowering(mlir::MLIRContext *context);

/// The pattern for routers whose policy sees all tokens.
void populateBatchRouterPatterns(const mlir::TypeConverter &converter,
                                 mlir::RewritePatternSet &patterns);

/// #moe.sinkhorn becomes its plan and #moe.top_k.
void populateSinkhornPatterns(const mlir::TypeConverter &converter,
                              mlir::RewritePatternSet &patterns);

void populateReweighPatterns(const mlir::TypeConverter &converter,
                             mlir::RewritePatternSet &patterns);

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_BATCHPOLICIES_H
