//===- SameExperts.h - Experts that compute the same --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SPARSITY_SAMEEXPERTS_H
#define MOE_LIB_SPARSITY_SAMEEXPERTS_H

#include "moe/Moe.h"

namespace moe {

/// For each expert the first that has the same body and the same weights, bit
/// by bit; itself if there is none before it.
llvm::SmallVector<int64_t> findSameExperts(ExpertOp op);

/// For each group of experts the first that has the same body; itself if there
/// is none before it.
llvm::SmallVector<int64_t> findSameBodies(ExpertOp op);

/// Whether a body sees more of its rows than one at a time, so that it matters
/// which rows are an expert's.
bool seesNeighbours(ExpertOp op);

} // namespace moe

#endif // MOE_LIB_SPARSITY_SAMEEXPERTS_H
