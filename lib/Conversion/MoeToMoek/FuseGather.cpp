//===- FuseGather.cpp - Gather inside the matmul ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The gathered rows of a layer are K times its input. A matmul that reads them
// through the list of tokens saves writing and reading them.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSEGATHER
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::GatherOp;
using moek::GroupedMatmulOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-gather";

/// Why `op` cannot move into its users; empty if it can, or if loops over
/// experts are all that keeps it from that.
static std::string whyNot(GatherOp op) {
  if (op->getNumResults() != 1)
    return "it is not on tensors";
  Value rows = op.getResult(0);
  if (rows.use_empty())
    return "nothing reads its rows";
  for (OpOperand &use : rows.getUses()) {
    if (isOnlyForExpertLoops(use.getOwner()))
      continue;
    auto matmul = dyn_cast<GroupedMatmulOp>(use.getOwner());
    if (!matmul || &use != &matmul.getLhsMutable())
      return "its rows are read by " +
             use.getOwner()->getName().getStringRef().str() +
             ", not only as 'lhs' of moek.grouped_matmul";
    if (matmul.getGather())
      return "a matmul that reads its rows gathers by itself already";
    // Experts of a layer with several kinds of bodies use a part of the groups.
    Value offsets = matmul.getOffsets();
    if (auto slice = offsets.getDefiningOp<tensor::ExtractSliceOp>())
      offsets = slice.getSource();
    if (offsets != op.getOffsets())
      return "a matmul that reads its rows has other groups";
  }
  return {};
}

static bool isReadByExpertLoops(GatherOp op) {
  return llvm::any_of(op->getUsers(), isOnlyForExpertLoops);
}

static void fuse(RewriterBase &b, GatherOp op) {
  for (Operation *user : llvm::to_vector(op.getResult(0).getUsers())) {
    auto matmul = cast<GroupedMatmulOp>(user);
    b.modifyOpInPlace(matmul, [&] {
      matmul.getLhsMutable().assign(op.getX());
      matmul.getGatherMutable().assign(op.getTokens());
      if (op.getRowWeights())
        matmul.getGatherWeightsMutable().assign(op.getRowWeights());
    });
  }
  b.eraseOp(op);
}

namespace {
struct FuseGatherPattern : OpRewritePattern<GatherOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatherOp op,
                                PatternRewriter &rewriter) const override {
    std::string why = whyNot(op);
    if (!why.empty())
      return rewriter.notifyMatchFailure(op, why);
    if (isReadByExpertLoops(op))
      return rewriter.notifyMatchFailure(op, "experts run as a loop");
    fuse(rewriter, op);
    return success();
  }
};

struct FuseGather : moe::impl::FuseGatherBase<FuseGather> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SmallVector<GatherOp> ops;
    getOperation()->walk([&](GatherOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (GatherOp op : ops) {
      std::string why = whyNot(op);
      if (why.empty() && isReadByExpertLoops(op))
        continue;
      if (why.empty()) {
        remarkPassed(op, kPassName)
            << "rows are gathered by the matmuls that read them";
        fuse(rewriter, op);
        continue;
      }
      remarkMissed(op, kPassName)
          << ("gathered rows are stored: " + why +
              "; a gather whose only users are grouped matmuls over the same "
              "groups moves into them");
    }
  }
};
} // namespace

void moe::populateFuseGatherPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseGatherPattern>(patterns.getContext());
}
