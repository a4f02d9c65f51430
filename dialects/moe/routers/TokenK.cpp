//===- TokenK.cpp - As many experts as an operand says ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// #moe.token_k: the best `max` experts, of which each token uses its first k.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

using namespace mlir;
using namespace moe;

LogicalResult TokenKAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t max) {
  if (max < 1)
    return emitError() << "expects at least one expert of a token, but got "
                       << max;
  return success();
}

int64_t TokenKAttr::getNumSlots(int64_t) const { return getMax(); }

LogicalResult
TokenKAttr::verifyPolicy(function_ref<InFlightDiagnostic()> emitError,
                         int64_t numExperts) const {
  if (getMax() > numExperts)
    return emitError() << "expects " << *this << " to select at most all "
                       << numExperts << " experts, but it selects " << getMax();
  return success();
}

LogicalResult
TokenKAttr::verifyOperands(function_ref<InFlightDiagnostic()> emitError,
                           TypeRange operands, int64_t) const {
  auto type =
      operands.size() == 1 ? dyn_cast<ShapedType>(operands[0]) : ShapedType();
  if (type && type.hasRank() && type.getRank() == 1 &&
      type.getElementType().isSignlessInteger(32))
    return success();
  auto diag = emitError() << "expects the number of experts of each token in "
                             "`using`, a tensor<?xi32>, but got ";
  if (operands.empty())
    return diag << "nothing";
  llvm::interleaveComma(operands, diag);
  return diag;
}

void TokenKAttr::buildSelectLanes(LaneSelection &lanes) const {
  ImplicitLocOpBuilder &b = lanes.b;
  lanes.buildTopK(
      getMax(),
      [&](Value expert) {
        return lanes.buildKeys(lanes.load(lanes.scores, expert));
      },
      lanes.indices);
  // A negative k leaves every slot unused, one above `max` none.
  Value none = lanes.i32(-1);
  lanes.loop(0, getMax(), {}, [&](Value slot, ValueRange) {
    Value used =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                              lanes.splatIndex(slot), lanes.operands[0]);
    Value expert = lanes.load(lanes.indices, slot);
    lanes.store(arith::SelectOp::create(b, used, expert, none), lanes.indices,
                slot);
    return SmallVector<Value>();
  });
}
