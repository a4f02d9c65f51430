//===- BlockPanels.h - Weights as they are stored, in panels ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The layouts of targets for weights in a format: they differ in how many rows
// a panel has, and where the second part is.
//
//===----------------------------------------------------------------------===//

#ifndef MOEK_BLOCKPANELS_H
#define MOEK_BLOCKPANELS_H

#include "moe/Moe.h"

namespace moek {

/// The weights of an expert as panels of `columns` of their rows, and a panel
/// as its blocks of `format` one after another. Each field of a block has the
/// numbers of all columns side by side: bytes of a field whose length is a
/// multiple of four, four of a column, then four of the next one; other numbers
/// one of each column. Shorter fields are before longer ones. Columns beyond N
/// are zeros.
struct BlockPanels {
  moe::WeightFormatAttrInterface format;
  int64_t columns;
  /// Whether a panel has the same columns of both parts, half of each; else all
  /// panels of one part are before those of the next.
  bool interleaved;

  /// Whether weights `[E, P, N, K]` can be laid out so.
  mlir::LogicalResult
  verify(llvm::function_ref<mlir::InFlightDiagnostic()> emitError,
         mlir::RankedTensorType logical) const;

  /// `[E, panels, blocks, bytes of a block of all columns]` of i8.
  mlir::RankedTensorType getPackedType(mlir::RankedTensorType logical) const;

  /// See LayoutAttrInterface.
  mlir::DictionaryAttr getPacking(mlir::RankedTensorType logical) const;

  /// Bytes of a block of a panel, and of what is in front of a field in it.
  int64_t getBlockBytes(int64_t k) const;
  int64_t getFieldOffset(int64_t k, int64_t field) const;

  /// Panels of an expert, and columns of one part in a panel.
  int64_t getNumPanels(int64_t parts, int64_t n) const;
  int64_t getColumnsOfPart(int64_t parts) const {
    return interleaved ? columns / parts : columns;
  }
};

} // namespace moek

#endif // MOEK_BLOCKPANELS_H
