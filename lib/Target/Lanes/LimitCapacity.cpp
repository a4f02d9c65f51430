//===- LimitCapacity.cpp - How much of a group an expert takes -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/Lanes/LimitCapacity.h"

#include "moe/Moe.h"

#include <limits>

using namespace mlir;
using namespace moe;

Value moe::emitLimitCapacity(Emitter &e, moek::LimitOp op, Value tokens) {
  int64_t slots = cast<ShapedType>(op.getIndices().getType()).getDimSize(1);
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (op.getCapacity())
    return e.i32(std::min<int64_t>(*op.getCapacity(), most));
  auto f64 = [&](double v) -> Value {
    return arith::ConstantOp::create(e, e.getF64FloatAttr(v));
  };
  Value places =
      arith::UIToFPOp::create(e, e.getF64Type(), e.toI64(e.mul(tokens, slots)));
  Value exact = arith::DivFOp::create(
      e,
      arith::MulFOp::create(e, places, f64(op.getFactor()->convertToDouble())),
      f64(static_cast<double>(op.getExperts())));
  // More than can arrive is all the same.
  exact = arith::MinimumFOp::create(e, exact, f64(most));
  Value below = arith::FPToSIOp::create(e, e.getI32Type(), exact);
  Value rest = arith::SubFOp::create(
      e, exact, arith::SIToFPOp::create(e, e.getF64Type(), below));
  auto isAbove = [&](arith::CmpFPredicate predicate, double v) -> Value {
    return arith::CmpFOp::create(e, predicate, rest, f64(v));
  };
  Value up;
  switch (op.getRounding()) {
  case Rounding::Ceil:
    up = isAbove(arith::CmpFPredicate::OGT, 0.0);
    break;
  case Rounding::Floor:
    break;
  case Rounding::Nearest: {
    Value half = isAbove(arith::CmpFPredicate::OEQ, 0.5);
    Value odd = e.cmp(arith::CmpIPredicate::ne,
                      arith::AndIOp::create(e, below, e.i32(1)), e.i32(0));
    up = arith::OrIOp::create(e, isAbove(arith::CmpFPredicate::OGT, 0.5),
                              arith::AndIOp::create(e, half, odd));
    break;
  }
  }
  if (up)
    below = e.add(below, arith::ExtUIOp::create(e, e.getI32Type(), up));
  return arith::MaxSIOp::create(
      e, below, e.i32(std::min<int64_t>(op.getMinimum(), most)));
}
