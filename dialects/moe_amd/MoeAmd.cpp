//===- MoeAmd.cpp - AMD's GPUs and what is decided for them -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_amd/MoeAmd.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moeamd;

#include "moe_amd/MoeAmdDialect.cpp.inc"
#include "moe_amd/MoeAmdEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_amd/MoeAmdAttrs.cpp.inc"

void MoeAmdDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_amd/MoeAmdAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// TargetAttr
//===----------------------------------------------------------------------===//

StringRef TargetAttr::getTargetName() const { return "amd"; }

StringRef TargetAttr::getChipName() const { return getName(); }

LogicalResult TargetAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef name, StringRef cpu, int64_t depth) {
  if (depth != 8 && depth != 16)
    return emitError() << "depth must be 8 or 16, got " << depth;
  return success();
}

//===----------------------------------------------------------------------===//
// ScheduleAttr
//===----------------------------------------------------------------------===//

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Units units, int64_t few) {
  if (few < -1)
    return emitError() << "few must be a number of rows or -1, got " << few;
  return success();
}

LogicalResult ScheduleAttr::verifySchedule(Operation *op) const {
  auto matmul = dyn_cast<moek::GroupedMatmulOp>(op);
  if (!matmul)
    return op->emitOpError("has ") << *this << ", which is for grouped matmuls";
  auto refuse = [&](const Twine &why) {
    return op->emitOpError("has ") << *this << ", whose kernels " << why;
  };
  auto isFloat = [](Value v) {
    Type type = getElementTypeOrSelf(v.getType());
    return type.isF32() || type.isF16() || type.isBF16();
  };
  auto isBF16 = [](Value v) {
    return getElementTypeOrSelf(v.getType()).isBF16();
  };
  bool isMatrix = getUnits() == Units::Matrix;
  if (isMatrix && (matmul.getFormatAttr() || !isBF16(matmul.getLhs()) ||
                   !isBF16(matmul.getRhs())))
    return refuse("multiply rows and weights of bf16");
  if (isMatrix && matmul.getK() % 8)
    return refuse("want k to be a multiple of 8, got " + Twine(matmul.getK()));
  if (isMatrix && matmul.getGatherWeights())
    return refuse("have no weights of rows");
  if (isMatrix && matmul.getNumExperts() > 4096)
    return refuse("keep tables of at most 4096 experts");
  if (!isFloat(matmul.getLhs()) ||
      (!matmul.getFormatAttr() && !isFloat(matmul.getRhs())) ||
      !isFloat(matmul.getOutputs()[0]))
    return refuse("multiply rows and weights of f32, f16 and bf16");
  if (matmul.getPositions() || matmul.getFirstRow())
    return refuse("have no windows, and do not combine");
  return success();
}
