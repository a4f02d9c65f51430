//===- RowTypes.cpp - How rows that meet formats are rounded ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe/E4M3Rows.h"
#include "moe/Moe.h"

using namespace mlir;
using namespace moe;
using llvm::StringRef;

static constexpr StringRef kRowTypes[] = {"f32",   "bf16", "int8",
                                          "int16", "e4m3", "auto"};

llvm::ArrayRef<StringRef> moe::getRowTypes() { return kRowTypes; }

RowType moe::getRowType(StringRef said, Attribute format) {
  auto weights = dyn_cast_or_null<WeightFormatAttrInterface>(format);
  if (!weights || said == "f32" || said == kE4M3Rows)
    return RowType::F32;
  if (said == "bf16")
    return RowType::BF16;
  bool hasCodes = isa<CodedFormatAttrInterface>(format);
  double bound = weights.getErrorBound();
  // Twice what rounding a row does: to bf16, and to 8 bits.
  constexpr double ofBF16 = 1.0 / 256, ofInt8 = 1.0 / 127;
  if (!hasCodes)
    return said == "auto" && bound >= ofBF16 ? RowType::BF16 : RowType::F32;
  if (said == "auto")
    return bound < ofInt8 ? RowType::Int16 : RowType::Int8;
  return said == "int16" ? RowType::Int16 : RowType::Int8;
}

bool moe::canMeetE4M3Rows(Attribute format) {
  auto fp8 = dyn_cast_or_null<FP8FormatAttr>(format);
  return fp8 && fp8.getColumns() % kE4M3Group == 0;
}
