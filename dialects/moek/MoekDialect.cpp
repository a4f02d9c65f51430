//===- MoekDialect.cpp - The dialect and its attribute interfaces -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace moek;

#include "moek/MoekDialect.cpp.inc"
#include "moek/MoekAttrInterfaces.cpp.inc"

void MoekDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "moek/MoekOps.cpp.inc"
      >();
}
