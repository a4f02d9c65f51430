//===- ApproximateVectorMath.cpp - Polynomials for vector math --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Our own exp and exp2, since the upstream expansion reduces the range in one
// step and loses digits for large arguments; upstream's for everything else.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>
#include <limits>

namespace moe {
#define GEN_PASS_DEF_APPROXIMATEVECTORMATHPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

bool isF32Vector(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getElementType().isF32();
}

/// exp(x) = 2^n * exp(r), |r| <= ln(2) / 2, with a polynomial of degree 6 and
/// ln(2) split in two. NaN stays NaN; results that are denormal are rounded
/// once, by the last multiplication.
template <typename ExpOp, bool kBaseTwo>
struct ExpandExp : OpRewritePattern<ExpOp> {
  using OpRewritePattern<ExpOp>::OpRewritePattern;

  LogicalResult matchAndRewrite(ExpOp op,
                                PatternRewriter &rewriter) const override {
    if (!isF32Vector(op.getType()))
      return failure();
    Location loc = op.getLoc();
    auto type = cast<VectorType>(op.getType());
    auto intType = type.clone(rewriter.getI32Type());
    auto constant = [&](float value) -> Value {
      return arith::ConstantOp::create(
          rewriter, loc,
          DenseElementsAttr::get(type, rewriter.getF32FloatAttr(value)));
    };
    auto intConstant = [&](int32_t value) -> Value {
      return arith::ConstantOp::create(
          rewriter, loc,
          DenseElementsAttr::get(intType, rewriter.getI32IntegerAttr(value)));
    };
    auto fma = [&](Value a, Value b, Value c) -> Value {
      return math::FmaOp::create(rewriter, loc, a, b, c);
    };
    Value x = op.getOperand();
    Value low = constant(kBaseTwo ? -151.0f : -104.5f);
    Value high = constant(kBaseTwo ? 128.5f : 89.0f);
    // maxnum and minnum drop NaN, so that the conversion to integers below is
    // defined; NaN is put back at the end.
    Value clamped = arith::MinNumFOp::create(
        rewriter, loc, arith::MaxNumFOp::create(rewriter, loc, x, low), high);
    Value n, r;
    if (kBaseTwo) {
      n = math::RoundEvenOp::create(rewriter, loc, clamped);
      Value fraction = arith::SubFOp::create(rewriter, loc, clamped, n);
      r = arith::MulFOp::create(rewriter, loc, fraction,
                                constant(0.693147180559945f));
    } else {
      n = math::RoundEvenOp::create(
          rewriter, loc,
          arith::MulFOp::create(rewriter, loc, clamped,
                                constant(1.44269504088896f)));
      // The high part has few enough bits for n times it to be exact.
      r = fma(n, constant(-0.693359375f), clamped);
      r = fma(n, constant(2.12194440e-4f), r);
    }
    Value p = constant(1.0f / 720);
    for (float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
      p = fma(p, r, constant(c));
    // 2^n in two factors: n reaches beyond the exponents of one float.
    Value k = arith::FPToSIOp::create(rewriter, loc, intType, n);
    Value half = arith::ShRSIOp::create(rewriter, loc, k, intConstant(1));
    Value rest = arith::SubIOp::create(rewriter, loc, k, half);
    auto power = [&](Value exponent) -> Value {
      Value biased =
          arith::AddIOp::create(rewriter, loc, exponent, intConstant(127));
      return arith::BitcastOp::create(
          rewriter, loc, type,
          arith::ShLIOp::create(rewriter, loc, biased, intConstant(23)));
    };
    Value scaled = arith::MulFOp::create(
        rewriter, loc, arith::MulFOp::create(rewriter, loc, p, power(half)),
        power(rest));
    Value isNaN =
        arith::CmpFOp::create(rewriter, loc, arith::CmpFPredicate::UNO, x, x);
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, isNaN, x, scaled);
    return success();
  }
};

/// Writes ops that have neither an instruction nor a function in libm by
/// others; null for those that have.
Value expandToOthers(OpBuilder &b, Operation *op) {
  Location loc = op->getLoc();
  if (auto power = dyn_cast<math::FPowIOp>(op)) {
    Value exponent =
        arith::SIToFPOp::create(b, loc, power.getType(), power.getRhs());
    return math::PowFOp::create(b, loc, power.getLhs(), exponent);
  }
  if (!isa<math::IsInfOp, math::IsNormalOp>(op))
    return {};
  Type type = op->getOperand(0).getType();
  const llvm::fltSemantics &semantics =
      cast<FloatType>(getElementTypeOrSelf(type)).getFloatSemantics();
  auto constant = [&](const APFloat &value) -> Value {
    TypedAttr attr = FloatAttr::get(getElementTypeOrSelf(type), value);
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, ArrayRef<Attribute>(attr));
    return arith::ConstantOp::create(b, loc, attr);
  };
  Value size = math::AbsFOp::create(b, loc, op->getOperand(0));
  Value infinity = constant(APFloat::getInf(semantics));
  auto compare = [&](arith::CmpFPredicate predicate, Value bound) -> Value {
    return arith::CmpFOp::create(b, loc, predicate, size, bound);
  };
  if (isa<math::IsInfOp>(op))
    return compare(arith::CmpFPredicate::OEQ, infinity);
  Value least = constant(APFloat::getSmallestNormalized(semantics));
  return arith::AndIOp::create(b, loc,
                               compare(arith::CmpFPredicate::OGE, least),
                               compare(arith::CmpFPredicate::OLT, infinity));
}

struct ApproximateVectorMath
    : moe::impl::ApproximateVectorMathPassBase<ApproximateVectorMath> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      OpBuilder b(op);
      if (Value value = expandToOthers(b, op)) {
        op->getResult(0).replaceAllUsesWith(value);
        op->erase();
      }
    });
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa_and_nonnull<math::MathDialect>(op->getDialect()) &&
          op->getNumResults() == 1 && isF32Vector(op->getResult(0).getType()))
        ops.push_back(op);
    });
    if (ops.empty())
      return;
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandExp<math::ExpOp, false>, ExpandExp<math::Exp2Op, true>>(
        &getContext(), /*benefit=*/10);
    populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
      return !llvm::is_contained(
          {math::ExpOp::getOperationName(), math::RsqrtOp::getOperationName()},
          name);
    });
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    if (failed(applyOpPatternsGreedily(ops, std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace
