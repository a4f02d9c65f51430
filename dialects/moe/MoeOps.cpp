//===- MoeOps.cpp - Ops of the moe dialect ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The generated code of the ops. Verifiers, type and shape inference, and the IR
// that ops can write themselves out as, are in ops/; folds and canonicalizations
// in MoeFolds.cpp.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace moe;

/// The type of the scores and an arrow; nothing where there are no scores.
static ParseResult
parseScoreTypes(OpAsmParser &parser,
                std::optional<OpAsmParser::UnresolvedOperand> select,
                std::optional<OpAsmParser::UnresolvedOperand> weigh,
                Type &selectType, Type &weighType) {
  if (select || weigh) {
    Type type;
    if (parser.parseType(type) || parser.parseArrow())
      return failure();
    if (select)
      selectType = type;
    if (weigh)
      weighType = type;
  }
  return success();
}

static void printScoreTypes(OpAsmPrinter &printer, Operation *, Value select,
                            Value weigh, Type selectType, Type weighType) {
  if (select || weigh)
    printer << (select ? selectType : weighType) << " ->";
}

#define GET_OP_CLASSES
#include "moe/MoeOps.cpp.inc"
