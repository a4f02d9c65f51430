//===- Scan.cpp - moe.scan --------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace moe;

LogicalResult ScanOp::verify() {
  if (failed(verifyFeatures(*this, "rows", getRows().getType(), 1, "size")) ||
      failed(verifyFeatures(*this, "the result", getStates().getType(), 1,
                            "size")))
    return failure();
  auto sequences = cast<RankedTensorType>(getSequences().getType());
  if (sequences.getDimSize(1) != 1)
    return emitOpError() << "expects one number for each row in `sequences`, "
                            "but got "
                         << sequences;
  if (getInit() && getInit().getType() != getStates().getType())
    return emitOpError() << "expects init of the type of the result, "
                         << getStates().getType() << ", but got "
                         << getInit().getType();
  int64_t rows = getRows().getType().getDimSize(0);
  for (auto type : {sequences, cast<RankedTensorType>(getStates().getType())})
    if (!ShapedType::isDynamic(rows) && !type.isDynamicDim(0) &&
        type.getDimSize(0) != rows)
      return emitOpError() << "expects as many numbers of sequences and states "
                              "as rows, "
                           << rows << ", but got " << type;
  return success();
}

LogicalResult ScanOp::verifyRegions() {
  auto withAnyRows = [](Value value) -> Type {
    auto type = cast<RankedTensorType>(value.getType());
    return type.clone({ShapedType::kDynamic, type.getDimSize(1)});
  };
  Type state = withAnyRows(getStates());
  auto describe = [](unsigned i) -> std::string {
    return i == 0 ? "rows" : "states";
  };
  if (failed(verifyBodyForm(*this, getBody(), "its body")) ||
      failed(verifyBodyArguments(*this, getBody(), "its body",
                                 {withAnyRows(getRows()), state}, describe)))
    return failure();
  return verifyBodyYield(*this, getBody(), "its body", state);
}

void ScanOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getStates(), "states");
}

void ScanOp::getAsmBlockArgumentNames(Region &region,
                                      OpAsmSetValueNameFn setName) {
  if (region.getNumArguments() != 2)
    return;
  setName(region.getArgument(0), "row");
  setName(region.getArgument(1), "state");
}

LogicalResult ScanOp::reifyResultShapes(OpBuilder &b,
                                        ReifiedRankedShapedTypeDims &shapes) {
  OpFoldResult rows = reifyDim(
      b, getStates(), 0, [&] { return buildDim(b, getLoc(), getRows(), 0); });
  shapes.push_back({rows, b.getIndexAttr(getStates().getType().getDimSize(1))});
  return success();
}
