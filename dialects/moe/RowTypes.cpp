//===- RowTypes.cpp - How rows that meet codes are rounded -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using llvm::StringRef;

static constexpr StringRef kRowTypes[] = {"f32", "int8", "int16", "auto"};

llvm::ArrayRef<StringRef> moe::getRowTypes() { return kRowTypes; }

int64_t moe::getRowBytes(StringRef type, Attribute format) {
  auto coded = dyn_cast_or_null<CodedFormatAttrInterface>(format);
  if (!coded || type == "f32")
    return 0;
  if (type != "auto")
    return type == "int16" ? 2 : 1;
  // Twice what rounding a row to 8 bits does.
  constexpr double coarse = 1.0 / 127;
  return cast<WeightFormatAttrInterface>(format).getErrorBound() < coarse ? 2
                                                                          : 1;
}
