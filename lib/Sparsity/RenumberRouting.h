//===- RenumberRouting.h - Routings of other experts --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SPARSITY_RENUMBERROUTING_H
#define MOE_LIB_SPARSITY_RENUMBERROUTING_H

#include "moe/Moe.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {

/// A routing of `experts` experts in which `table[e]` has the assignments of
/// expert e of `routing`; -1 drops them. Several may become one: a token then
/// has it several times, in the order of its slots, or with `byExpert` in that
/// of the experts that it had.
mlir::Value buildRenumbered(mlir::OpBuilder &b, mlir::Location loc,
                            mlir::Value routing, llvm::ArrayRef<int64_t> table,
                            int64_t experts, bool byExpert = false);

/// The routing of a layer in which expert e of `routing` is now expert `now[e]`
/// of it, and `kept`: the experts that are left, in ascending order. A routing
/// has no more slots than experts, so some of those that are now others may
/// stay, without assignments.
mlir::Value buildJoined(mlir::OpBuilder &b, mlir::Location loc,
                        mlir::Value routing, llvm::ArrayRef<int64_t> now,
                        llvm::SmallVectorImpl<int64_t> &kept,
                        bool byExpert = false);

/// `routing` with only the experts `kept` of it, which ascend, made by a router
/// that scores no others, or of constants that name no others. `kept` has to
/// have all experts that may be chosen. Null if there is no such router with
/// the same choices and bits, and `why` says why; nothing is built then.
mlir::Value buildSmallerRouting(mlir::RewriterBase &b, mlir::Value routing,
                                llvm::ArrayRef<int64_t> kept, std::string &why);

} // namespace moe

#endif // MOE_LIB_SPARSITY_RENUMBERROUTING_H
