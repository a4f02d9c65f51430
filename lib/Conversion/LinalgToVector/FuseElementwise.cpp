//===- FuseElementwise.cpp - Elementwise fusion, with a rule ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Upstream's patterns and the rule when they apply.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace moe {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "moe-mlir/Conversion/LinalgToVector/Passes.h.inc"
} // namespace moe

using namespace mlir;

/// Whether fusing the producer of `operand` computes none of its elements
/// twice: nobody else reads it, and every loop of the consumer moves through
/// it.
static bool isReadOnce(OpOperand *operand) {
  Operation *producer = operand->get().getDefiningOp();
  if (!producer || !producer->hasOneUse())
    return false;
  auto consumer = dyn_cast<linalg::LinalgOp>(operand->getOwner());
  return consumer && consumer.getMatchingIndexingMap(operand).isPermutation();
}

void moe::populateFuseElementwisePatterns(RewritePatternSet &patterns) {
  linalg::populateElementwiseOpsFusionPatterns(patterns, isReadOnce);
  linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
  tensor::EmptyOp::getCanonicalizationPatterns(patterns, patterns.getContext());
}

namespace {
struct FuseElementwise : moe::impl::FuseElementwiseBase<FuseElementwise> {
  void runOnOperation() override {
    // Only linalg.generic fuses. Fills stay what they are: initial values of
    // reductions are recognised by them.
    SmallVector<linalg::LinalgOp> named;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (!isa<linalg::GenericOp, linalg::FillOp, linalg::CopyOp>(op) &&
          op.hasPureTensorSemantics() &&
          !isa<linalg::ContractionOpInterface>(op.getOperation()))
        named.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp op : named) {
      rewriter.setInsertionPoint(op);
      // Those without a generic form are left as they are.
      (void)linalg::generalizeNamedOp(rewriter, op);
    }

    RewritePatternSet patterns(&getContext());
    moe::populateFuseElementwisePatterns(patterns);
    // As insertions, parts can be computed right where they belong.
    tensor::populateDecomposeTensorConcatPatterns(patterns);
    // Upstream's patterns make casts back and forth for ever where the sizes of
    // an op contradict each other; sound IR needs a few rewrites an op.
    int64_t ops = 0;
    getOperation()->walk([&](Operation *) { ++ops; });
    GreedyRewriteConfig config;
    config.setMaxNumRewrites(1000 + 100 * ops);
    if (succeeded(
            applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      return;
    getOperation()->emitError(
        "fusing its elementwise ops comes to no end; do the sizes of one "
        "contradict each other?");
    signalPassFailure();
  }
};
} // namespace
