//===- MoekDialect.cpp - The dialect, its attributes and types -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moek;

#include "moek/MoekDialect.cpp.inc"
#include "moek/MoekAttrInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moek/MoekAttrs.cpp.inc"

void MoekDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moek/MoekAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "moek/MoekOps.cpp.inc"
      >();
}

LogicalResult PanelsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t columns, int64_t kBlock,
                                 int64_t interleave) {
  if (columns <= 0 || columns % 16 != 0)
    return emitError() << "columns must be a positive multiple of 16, got "
                       << columns;
  if (kBlock != 1 && kBlock != 2 && kBlock != 4)
    return emitError() << "k_block must be 1, 2 or 4, got " << kBlock;
  if (interleave != 0 && interleave * 2 != columns)
    return emitError() << "interleave must be 0 or half of the columns ("
                       << columns / 2 << "), got " << interleave;
  return success();
}
