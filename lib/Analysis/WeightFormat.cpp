//===- WeightFormat.cpp - In which format a weight is stored ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/WeightFormat.h"

#include "moe-mlir/Analysis/WeightUse.h"

using namespace mlir;

moe::WeightFormatAttrInterface moe::getWeightFormat(Value weight) {
  while (Operation *op = weight.getDefiningOp()) {
    if (auto dequantize = dyn_cast<DequantizeOp>(op))
      return dequantize.getFormat();
    if (!WeightUse::isView(op) || op->getNumOperands() == 0)
      break;
    weight = op->getOperand(0);
  }
  return {};
}
