//===- LowRank.cpp - Experts of a dialect of its own -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// acme.low_rank, and -acme-expand-low-rank, which writes it as a moe.expert:
// all that knows experts, from fusion to packing, then knows these.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "AcmeOps.cpp.inc"

namespace acme {
#define GEN_PASS_DEF_EXPANDLOWRANK
#include "Passes.h.inc"
} // namespace acme

LogicalResult acme::LowRankOp::verify() {
  auto rows = cast<ShapedType>(getRows().getType());
  auto down = cast<ShapedType>(getDown().getType());
  auto up = cast<ShapedType>(getUp().getType());
  auto result = cast<ShapedType>(getResult().getType());
  int64_t experts = getRouting().getType().getExperts();
  int64_t rank = down.getDimSize(1);
  if (!down.hasStaticShape() || !up.hasStaticShape() ||
      down.getDimSize(0) != experts || up.getDimSize(0) != experts ||
      down.getDimSize(2) != rows.getDimSize(1) || up.getDimSize(2) != rank ||
      result.getDimSize(1) != up.getDimSize(1))
    return emitOpError("wants down [")
           << experts << ", R, H] and up [" << experts
           << ", N, R] for rows of H and a result of N, got " << down << " and "
           << up << " for " << rows << " and " << result;
  return success();
}

namespace {

struct ExpandPattern : OpRewritePattern<acme::LowRankOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(acme::LowRankOp op,
                                PatternRewriter &b) const override {
    // Two products with nothing between them: an FFN without an activation.
    auto experts = moe::ExpertOp::create(
        b, op.getLoc(), op.getType(), op.getRows(), op.getRouting(),
        ValueRange{op.getDown(), op.getUp()},
        [&](OpBuilder &b, Location loc, ValueRange own) {
          Value y = moe::FFNOp::create(b, loc, own[0], /*gate=*/Value(), own[1],
                                       own[2],
                                       moe::IdentityAttr::get(b.getContext()));
          moe::YieldOp::create(b, loc, y);
        });
    b.replaceOp(op, experts);
    return success();
  }
};

struct ExpandLowRank : acme::impl::ExpandLowRankBase<ExpandLowRank> {
  using ExpandLowRankBase::ExpandLowRankBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandPattern>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
