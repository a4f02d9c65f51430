//===- FormatHelpers.h - What formats share --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_FORMATHELPERS_H
#define MOE_FORMATS_FORMATHELPERS_H

#include "moe/Moe.h"

namespace moe {

/// Checks that blocks of `block` fill rows of `k`.
mlir::LogicalResult
verifyBlocks(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
             mlir::Attribute format, int64_t block, int64_t k);

/// Fields one after another, as the blocks of a GGUF file have them: gives each
/// its offset.
llvm::SmallVector<BlockField> layOut(llvm::ArrayRef<BlockField> fields);

/// The one tensor of bytes that such blocks are stored in.
llvm::SmallVector<StorageTensor> storeBlocks(llvm::ArrayRef<BlockField> fields);

/// The k of four consecutive codes for each of `streams`, as DecodeRounds::first.
llvm::SmallVector<int64_t> fours(llvm::ArrayRef<int64_t> streams);

/// The scales of eight sub-blocks, `d` times six bits, and then their minima,
/// `dmin` times six bits: as blocks of Q4_K and Q5_K pack them into the twelve
/// bytes of field `s`.
void buildSixBitScales(BlockReader &reader, int64_t d, int64_t dmin, int64_t s,
                       llvm::SmallVectorImpl<mlir::Value> &shared);

} // namespace moe

#endif // MOE_FORMATS_FORMATHELPERS_H
