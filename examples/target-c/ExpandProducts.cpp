//===- ExpandProducts.cpp - Products of two words ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Sizes are multiplied with all of their bits, to see whether they overflow. No
// integer of C99 holds those; four products of halves do.
//
//===----------------------------------------------------------------------===//

#include "AcmeC.h"

namespace acmec {
#define GEN_PASS_DEF_EXPANDPRODUCTS
#include "Passes.h.inc"
} // namespace acmec

using namespace mlir;

/// The upper word of x * y.
static Value emitHigh(OpBuilder &b, Location loc, Value x, Value y,
                      bool isSigned) {
  Type type = x.getType();
  auto number = [&](int64_t v) -> Value {
    return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, v));
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, loc, x, y);
  };
  auto mul = [&](Value x, Value y) -> Value {
    return arith::MulIOp::create(b, loc, x, y);
  };
  auto low = [&](Value v) -> Value {
    return arith::AndIOp::create(b, loc, v, number(0xffffffff));
  };
  auto high = [&](Value v) -> Value {
    return arith::ShRUIOp::create(b, loc, v, number(32));
  };
  Value left = mul(high(x), low(y)), right = mul(low(x), high(y));
  Value carry =
      high(add(high(mul(low(x), low(y))), add(low(left), low(right))));
  Value result =
      add(add(mul(high(x), high(y)), carry), add(high(left), high(right)));
  if (!isSigned)
    return result;
  // A negative one counts as 2^64 more than it is.
  auto correct = [&](Value sign, Value other) {
    Value mask = arith::ShRSIOp::create(b, loc, sign, number(63));
    Value extra = arith::AndIOp::create(b, loc, mask, other);
    result = arith::SubIOp::create(b, loc, result, extra);
  };
  correct(x, y);
  correct(y, x);
  return result;
}

namespace {
struct ExpandProducts : acmec::impl::ExpandProductsBase<ExpandProducts> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::MulSIExtendedOp, arith::MulUIExtendedOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      OpBuilder b(op);
      Value x = op->getOperand(0), y = op->getOperand(1);
      if (!x.getType().isIndex() && !x.getType().isInteger(64)) {
        op->emitOpError("is not of words of 64 bits");
        return signalPassFailure();
      }
      op->getResult(0).replaceAllUsesWith(
          arith::MulIOp::create(b, op->getLoc(), x, y));
      op->getResult(1).replaceAllUsesWith(
          emitHigh(b, op->getLoc(), x, y, isa<arith::MulSIExtendedOp>(op)));
      op->erase();
    }
  }
};
} // namespace
