//===- MissedFusion.cpp - What a fusion would have saved --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/MissedFusion.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;

int64_t moe::StoredRows::getBytesOfToken() const {
  auto type =
      rows ? dyn_cast<RankedTensorType>(rows.getType()) : RankedTensorType();
  if (!type || !type.getElementType().isIntOrFloat() || type.getRank() == 0)
    return 0;
  int64_t bytes = type.getElementTypeBitWidth() / 8 * ofToken;
  for (int64_t size : type.getShape().drop_front()) {
    if (ShapedType::isDynamic(size))
      return 0;
    bytes *= size;
  }
  return 2 * bytes;
}

void moe::reportMissed(Operation *op, StringRef pass,
                       const MissedFusion &missed) {
  remark::detail::InFlightRemark remark = remark::missed(
      op->getLoc(), remark::RemarkOpts::name(missed.name).category(pass));
  std::string text = missed.instead + ": " + missed.why;
  if (!missed.remedy.empty())
    text += "; " + missed.remedy;
  int64_t bytes = missed.stored.getBytesOfToken();
  if (bytes == 0) {
    remark << text;
    return;
  }
  remark << text + "; that would save writing and reading " +
                std::to_string(bytes) + " bytes a token";
  remark << remark::detail::Remark::Arg(kBytesOfTokenKey, bytes);
  if (auto function = op->getParentOfType<FunctionOpInterface>())
    remark << remark::detail::Remark::Arg(kFunctionKey, function.getName());
}
