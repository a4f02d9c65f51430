//===- MoeNvidia.cpp - NVIDIA's GPUs and what is decided for them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_nvidia/MoeNvidia.h"

#include "moe/E4M3Rows.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moenvidia;

#include "moe_nvidia/MoeNvidiaDialect.cpp.inc"
#include "moe_nvidia/MoeNvidiaEnums.cpp.inc"

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

std::string moenvidia::whyNotE4M3(moek::GroupedMatmulOp matmul) {
  auto chip = dyn_cast_or_null<TargetAttr>(
      Attribute(moek::getTarget(matmul->getParentOfType<ModuleOp>())));
  if (usesTiles(matmul))
    return "multiply matmuls with operands of rows in f32";
  // A matmul without a target is nobody's yet.
  if (chip && !chip.getWgmma())
    return "multiply rows of e4m3 with wgmma alone, which " +
           chip.getName().str() + " has not";
  moe::WeightFormatAttrInterface format = matmul.getFormatAttr();
  if (!moe::canMeetE4M3Rows(format))
    return "multiply rows of e4m3 with weights in #moe.fp8 whose scales are of "
           "whole rows or of a multiple of 128 columns";
  int64_t n = matmul.getN(), k = matmul.getK();
  if (k % moe::kE4M3Group || n % 8)
    return ("multiply rows of e4m3 where k is a multiple of 128 and n of 8, "
            "got "
            "k = " +
            Twine(k) + ", n = " + Twine(n))
        .str();
  return "";
}

//===----------------------------------------------------------------------===//
// ScheduleAttr
//===----------------------------------------------------------------------===//

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t few, int64_t decode, Rows rows) {
  if (few < -1)
    return emitError() << "few must be a number of rows or -1, got " << few;
  if (decode < 0)
    return emitError() << "decode must be a number of rows, got " << decode;
  if (rows == Rows::E4M3 && few == -1)
    return emitError()
           << "rows of e4m3 are for the kernel for many rows, which "
              "few = -1 leaves out";
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
    return getRows() == Rows::E4M3 ? refuse(whyNotE4M3(matmul)) : success();
  if (!isBF16(matmul.getLhs()) || (!hasFormat && !isBF16(matmul.getRhs())))
    return refuse("multiply rows and weights of bf16");
  if ((!hasFormat || getFew() != -1) &&
      (matmul.getK() % 64 || matmul.getN() % 8))
    return refuse("want k to be a multiple of 64 and n of 8, got k = " +
                  Twine(matmul.getK()) + ", n = " + Twine(matmul.getN()));
  if (matmul.getNumExperts() > 1024)
    return refuse("keep tables of at most 1024 experts");
  if (getRows() == Rows::E4M3)
    if (std::string why = whyNotE4M3(matmul); !why.empty())
      return refuse(why);
  return success();
}
