//===- FormatHelpers.h - What formats share --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_FORMATS_FORMATHELPERS_H
#define MOE_FORMATS_FORMATHELPERS_H

#include "moe/Moe.h"

namespace moe {

/// Fields one after another, as the blocks of a GGUF file have them: gives each
/// its offset.
llvm::SmallVector<BlockField> layOut(llvm::ArrayRef<BlockField> fields);

/// The k of four consecutive codes for each of `streams`, as
/// DecodeRounds::first.
llvm::SmallVector<int64_t> fours(llvm::ArrayRef<int64_t> streams);

/// The scales of eight sub-blocks, `d` times six bits, and then their minima,
/// `dmin` times six bits: as blocks of Q4_K and Q5_K pack them into the twelve
/// bytes of field `s`.
void buildSixBitScales(BlockReader &reader, int64_t d, int64_t dmin, int64_t s,
                       llvm::SmallVectorImpl<mlir::Value> &shared);

/// Rounds of a block whose bytes have elements j and `block` / 2 + j in their
/// low and high four bits, or 2 j and 2 j + 1: one word of four bytes each.
/// Stream 0 is the low bits, stream 1 the high ones.
DecodeRounds halvesOfNibbles(int64_t block);
DecodeRounds pairsOfNibbles(int64_t block);

/// The low (0) or high (1) four bits of each byte.
mlir::Value buildNibbles(BlockReader &reader, mlir::Value word, int64_t which);

/// Codes of five bits of a block of 32: the low four are nibbles, in halves, of
/// field `ql`, and the one above is bit k of field `qh`.
mlir::Value buildFiveBits(BlockReader &reader, int64_t qh, int64_t ql,
                          mlir::Value word, int64_t stream);

/// The table of formats IQ4, of which a code is an entry with 127 added.
constexpr int64_t kIQ4Zero = 127;
mlir::Value lookUpIQ4(BlockReader &reader, mlir::Value nibbles);

/// Four bits as E2M1: a code is twice the value, with 12 added.
constexpr int64_t kE2M1Zero = 12;
mlir::Value lookUpE2M1(BlockReader &reader, mlir::Value nibbles);

/// The value of a byte as E4M3 without infinities, by way of f16: conversions take
/// its numbers below the normal ones for what they are, whatever a CPU is told.
mlir::Value buildE4M3(BlockReader &reader, mlir::Value byte);
/// The same of the four bytes of a word, two at a time.
void buildFourE4M3(BlockReader &reader, mlir::Value word,
                   llvm::SmallVectorImpl<mlir::Value> &values);

/// 2^(byte - 127 - `less`), for 0 or 1 less; NaN of 255. From bits, so that it is
/// exact below the normal numbers, whatever the mode of the CPU.
mlir::Value buildE8M0(BlockReader &reader, mlir::Value byte, int64_t less = 0);

} // namespace moe

#endif // MOE_FORMATS_FORMATHELPERS_H
