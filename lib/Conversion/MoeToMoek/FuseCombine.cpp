//===- FuseCombine.cpp - Weighted sum inside the matmul --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The combine of a layer becomes part of the down projection. The order of the
// sum is the op's semantics, not a matter of schedule, so this is exact.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSECOMBINE
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::GroupedMatmulOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-combine";

/// Whether `positions` point to rows of the groups of `offsets`: both were made
/// together.
static bool belongTogether(Value offsets, Value positions) {
  auto op = offsets.getDefiningOp<moek::RoutingOpInterface>();
  if (!op)
    return false;
  moek::RoutingParts made = op.getRoutingResults();
  return made.offsets == offsets && made.positions == positions;
}

/// Whether `rows` are those of several kinds of experts, or of a function of
/// rows: they are where their kernels wrote them, and summing them there reads
/// them as often as a matmul would.
static bool isMadeByMany(Value rows) {
  if (rows.getDefiningOp<moek::RowMapOp>())
    return true;
  auto matmul = rows.getDefiningOp<GroupedMatmulOp>();
  return matmul && !matmul.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
}

/// Why `op` cannot be part of the matmul that makes its rows; empty if it can.
static std::string whyNot(moek::CombineOp op) {
  if (op->getNumResults() != 1)
    return "it is not on tensors";
  auto matmul = op.getRows().getDefiningOp<GroupedMatmulOp>();
  if (!matmul)
    return "its rows are not the result of a grouped matmul";
  if (!op.getRows().hasOneUse())
    return "its rows have another use";
  if (matmul->getBlock() != op->getBlock())
    return "the matmul is in another block";
  if (matmul.getPositions())
    return "the matmul sums rows already";
  if (matmul.getSchedule())
    return "the matmul already has a schedule; fuse before select-schedule";
  auto rows = cast<RankedTensorType>(op.getRows().getType());
  if (rows.getDimSize(1) != static_cast<int64_t>(matmul.getN()))
    return "the matmul's rows are padded";
  if (!matmul.getOutputs()[0].getDefiningOp<tensor::EmptyOp>())
    return "the matmul writes into rows that others made";
  if (!belongTogether(matmul.getOffsets(), op.getPositions()))
    return "the matmul's groups and the positions are not of one routing";
  return {};
}

static void fuse(RewriterBase &b, moek::CombineOp op) {
  auto matmul = op.getRows().getDefiningOp<GroupedMatmulOp>();
  b.setInsertionPoint(op);
  auto fused = GroupedMatmulOp::create(
      b, matmul.getLoc(), op->getResultTypes(), matmul.getLhs(),
      matmul.getRhs(), matmul.getOffsets(), matmul.getActive(),
      matmul.getGather(), matmul.getGatherWeights(), matmul.getTokens(),
      matmul.getGathered(), matmul.getRows(), matmul.getParameters(),
      op.getPositions(), op.getFirstRow(), op.getNumRows(), op.getSlotWeights(),
      op.getInit(), op.getOutputs(), matmul.getN(), matmul.getK(),
      matmul.getParts(), matmul.getPhaseAttr(), matmul.getFormatAttr(),
      matmul.getSkipZerosAttr(), moek::ScheduleAttrInterface());
  fused->setDiscardableAttrs(matmul->getDiscardableAttrDictionary());
  b.inlineRegionBefore(matmul.getEpilogue(), fused.getEpilogue(),
                       fused.getEpilogue().end());
  b.replaceOp(op, fused.getResults());
  b.eraseOp(matmul);
}

namespace {
struct FuseCombinePattern : OpRewritePattern<moek::CombineOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(moek::CombineOp op,
                                PatternRewriter &rewriter) const override {
    std::string why = whyNot(op);
    if (!why.empty())
      return rewriter.notifyMatchFailure(op, why);
    fuse(rewriter, op);
    return success();
  }
};

struct FuseCombine : moe::impl::FuseCombineBase<FuseCombine> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SmallVector<moek::CombineOp> ops;
    getOperation()->walk([&](moek::CombineOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (moek::CombineOp op : ops) {
      std::string why = whyNot(op);
      if (why.empty()) {
        remarkPassed(op, kPassName)
            << "rows are summed per token by the matmul that makes them";
        fuse(rewriter, op);
        continue;
      }
      if (isMadeByExpertLoop(op.getRows()) || isMadeByMany(op.getRows()))
        continue;
      auto slots = cast<ShapedType>(op.getPositions().getType());
      reportMissed(op, kPassName,
                   {"rows are stored before they are summed",
                    why,
                    "the combine of a grouped matmul's result, its only use, "
                    "moves into the matmul",
                    {op.getRows(), slots.getDimSize(1)}});
    }
  }
};
} // namespace

void moe::populateFuseCombinePatterns(RewritePatternSet &patterns) {
  patterns.add<FuseCombinePattern>(patterns.getContext());
}
