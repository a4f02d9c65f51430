//===- Relufy.cpp - Rewrites what experts compute -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// -acme-relufy, a pattern on the bodies of experts.
//
//===----------------------------------------------------------------------===//

#include "Acme.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace acme {
#define GEN_PASS_DEF_RELUFY
#include "Passes.h.inc"
} // namespace acme

namespace {

struct RelufyPattern : OpRewritePattern<moe::FFNOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(moe::FFNOp op,
                                PatternRewriter &b) const override {
    // Those outside of experts stay: a shared FFN has all rows.
    if (!op->getParentOfType<moe::ExpertOp>() || !op.getActivation() ||
        !isa<moe::SiluAttr>(*op.getActivation()))
      return failure();
    b.modifyOpInPlace(
        op, [&] { op.setActivationAttr(moe::ReluAttr::get(b.getContext())); });
    return success();
  }
};

struct Relufy : acme::impl::RelufyBase<Relufy> {
  using RelufyBase::RelufyBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<RelufyPattern>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
