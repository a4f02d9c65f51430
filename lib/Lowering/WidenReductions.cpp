//===- WidenReductions.cpp - Sums of 16-bit floats in f32 ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A sum that is rounded to bf16 after each of its terms stops growing at 256
// times a term. Exporters write such sums for what their frameworks compute in
// f32 and round once, and so do we.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Lowering/Passes.h"

#include "SmallFloats.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/IR/Matchers.h"

namespace moe {
#define GEN_PASS_DEF_WIDENREDUCTIONSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;
using moe::isSmallFloat;

namespace {

/// Ops that pair up with these may drop the rounding between them.
constexpr auto kContract = arith::FastMathFlags::contract;

/// `value`, a tensor of small floats, with f32 elements or the other way round.
Value convert(OpBuilder &b, Location loc, Value value, Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, value), element);
  bool widen = element.isF32();
  return linalg::GenericOp::create(
             b, loc, empty.getType(), ValueRange(value), ValueRange(empty),
             SmallVector<AffineMap>(2,
                                    b.getMultiDimIdentityMap(type.getRank())),
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nested, Location at, ValueRange args) {
               Value result =
                   widen ? arith::ExtFOp::create(nested, at, element, args[0])
                               .getResult()
                         : arith::TruncFOp::create(nested, at, element, args[0])
                               .getResult();
               linalg::YieldOp::create(nested, at, result);
             })
      .getResult(0);
}

Value widenInit(OpBuilder &b, Location loc, Value init) {
  // Mostly zeros or infinities.
  Type f32 = b.getF32Type();
  if (auto fill = init.getDefiningOp<linalg::FillOp>()) {
    Value empty = tensor::EmptyOp::create(
        b, loc, tensor::getMixedSizes(b, loc, init), f32);
    Value value = b.createOrFold<arith::ExtFOp>(loc, f32, fill.value());
    return linalg::FillOp::create(b, loc, value, empty).getResult(0);
  }
  return convert(b, loc, init, f32);
}

struct WidenReductions : moe::impl::WidenReductionsPassBase<WidenReductions> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (op.hasPureTensorSemantics() && op.getNumReductionLoops() != 0 &&
          llvm::any_of(op->getResultTypes(), isSmallFloat))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : ops) {
      rewriter.setInsertionPoint(op);
      auto generic = dyn_cast<linalg::GenericOp>(*op);
      if (!generic) {
        FailureOr<linalg::GenericOp> general =
            linalg::generalizeNamedOp(rewriter, op);
        // What has no region of scalars computes nothing here.
        if (failed(general))
          continue;
        generic = *general;
      }
      widen(rewriter, generic);
    }
  }

  static void widen(IRRewriter &b, linalg::GenericOp op) {
    Location loc = op.getLoc();
    Type f32 = b.getF32Type();
    Block &body = *op.getBody();
    Operation *yield = body.getTerminator();
    for (unsigned i = 0, e = op.getNumDpsInits(); i < e; ++i) {
      OpOperand &init = *op.getDpsInitOperand(i);
      auto type = cast<RankedTensorType>(init.get().getType());
      BlockArgument argument = op.getMatchingBlockArgument(&init);
      // A result that is only moved or rounded once stays.
      if (!isSmallFloat(type) || argument.use_empty())
        continue;
      Type element = type.getElementType();
      b.setInsertionPoint(op);
      init.set(widenInit(b, loc, init.get()));
      b.setInsertionPointToStart(&body);
      argument.setType(f32);
      auto narrow = arith::TruncFOp::create(
          b, loc, element, argument, arith::RoundingModeAttr(),
          arith::FastMathFlagsAttr::get(b.getContext(), kContract));
      argument.replaceAllUsesExcept(narrow, narrow);
      b.setInsertionPoint(yield);
      yield->setOperand(
          i, arith::ExtFOp::create(
                 b, loc, f32, yield->getOperand(i),
                 arith::FastMathFlagsAttr::get(b.getContext(), kContract)));
      Value result = op.getResult(i);
      result.setType(type.clone(f32));
      b.setInsertionPointAfter(op);
      Value rounded = convert(b, loc, result, element);
      Operation *rounding = rounded.getDefiningOp();
      result.replaceUsesWithIf(rounded, [&](OpOperand &use) {
        Operation *user = use.getOwner();
        // The sizes of the rounded tensor come from the wide one.
        return user != rounding &&
               !(isa<tensor::DimOp>(user) && user->isBeforeInBlock(rounding) &&
                 op->isBeforeInBlock(user));
      });
    }
  }
};

} // namespace
