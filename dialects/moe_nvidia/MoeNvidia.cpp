//===- MoeNvidia.cpp - NVIDIA's GPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_nvidia/MoeNvidia.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moenvidia;

#include "moe_nvidia/MoeNvidiaDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_nvidia/MoeNvidiaAttrs.cpp.inc"

void MoeNvidiaDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_nvidia/MoeNvidiaAttrs.cpp.inc"
      >();
}

StringRef TargetAttr::getTargetName() const { return "nvidia"; }

StringRef TargetAttr::getChipName() const { return getName(); }

bool moenvidia::usesTiles(moek::GroupedMatmulOp matmul) {
  return matmul.getGatherWeights() || matmul.getTokens() ||
         !matmul.getGathered().empty() || !matmul.getRows().empty() ||
         (!matmul.getFormatAttr() &&
          !getElementTypeOrSelf(matmul.getRhs().getType()).isBF16());
}

//===----------------------------------------------------------------------===//
// ScheduleAttr
//===----------------------------------------------------------------------===//

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t few, int64_t decode) {
  if (few < -1)
    return emitError() << "few must be a number of rows or -1, got " << few;
  if (decode < 0)
    return emitError() << "decode must be a number of rows, got " << decode;
  return success();
}

LogicalResult ScheduleAttr::verifySchedule(Operation *op) const {
  auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
  if (!matmul)
    return op->emitOpError("has ") << *this << ", which is for grouped matmuls";
  auto refuse = [&](const Twine &why) {
    return op->emitOpError("has ") << *this << ", whose kernels " << why;
  };
  auto isBF16 = [](Value v) {
    return getElementTypeOrSelf(v.getType()).isBF16();
  };
  bool hasFormat = bool(matmul.getFormatAttr());
  if (matmul.getPositions() || matmul.getFirstRow())
    return refuse("have no windows and do not combine");
  if (usesTiles(matmul))
    return success();
  if (!isBF16(matmul.getLhs()) || (!hasFormat && !isBF16(matmul.getRhs())))
    return refuse("multiply rows and weights of bf16");
  if ((!hasFormat || getFew() != -1) &&
      (matmul.getK() % 64 || matmul.getN() % 8))
    return refuse("want k to be a multiple of 64 and n of 8, got k = " +
                  Twine(matmul.getK()) + ", n = " + Twine(matmul.getN()));
  if (matmul.getNumExperts() > 1024)
    return refuse("keep tables of at most 1024 experts");
  return success();
}
