//===- SparseFormats.h - Formats that store no zeros -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Attributes of the moe dialect, and what they say of themselves.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SPARSEFORMATS_H
#define MOE_SPARSEFORMATS_H

#include "moe/Moe.h"

namespace moe {

/// What bits of a field's numbers have to be.
struct FieldBits {
  enum Kind {
    Any,
    Places,   ///< Each four bits are two of four, the second behind the first.
    Ascending ///< i32, each more than the one before and below `limit`.
  } kind = Any;
  int64_t limit = 0;
};

/// Of field `field` of any format of rows of `k` weights.
FieldBits getFieldBits(WeightFormatAttrInterface format, int64_t k,
                       int64_t field);

/// Pieces of a ListedFormatAttrInterface.
struct ListForm {
  /// Consecutive k of a piece, and how many of them a row stores.
  int64_t columns = 0, count = 0;
  /// Consecutive rows that have the same list.
  int64_t rows = 0;
  /// The field whose number i is that of piece i: its first k over `columns`.
  int64_t list = 0;
};

} // namespace moe

#include "moe/MoeSparseFormatInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe/MoeSparseFormats.h.inc"

#endif // MOE_SPARSEFORMATS_H
