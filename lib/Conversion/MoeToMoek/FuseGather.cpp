//===- FuseGather.cpp - Gather inside the matmul ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The gathered rows of a layer are K times its input. A kernel that reads them
// through the list of tokens saves writing and reading them.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"

namespace moe {
#define GEN_PASS_DEF_FUSEGATHER
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::GatherOp;
using moek::GroupedMatmulOp;
using moek::RowMapOp;

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
    auto readsRows = [&](OperandRange range) {
      unsigned number = use.getOperandNumber();
      return number >= range.getBeginOperandIndex() &&
             number < range.getBeginOperandIndex() + range.size();
    };
    Value offsets, tokens;
    if (auto matmul = dyn_cast<GroupedMatmulOp>(use.getOwner());
        matmul && &use == &matmul.getLhsMutable()) {
      if (matmul.getGather())
        return "a matmul that reads its rows gathers by itself already";
      offsets = matmul.getOffsets();
    } else if (matmul && readsRows(matmul.getRows())) {
      if (op.getRowWeights())
        return "its rows are weighted, and an epilogue reads them";
      offsets = matmul.getOffsets();
      tokens = matmul.getTokens();
    } else if (auto map = dyn_cast<RowMapOp>(use.getOwner());
               map && readsRows(map.getRows())) {
      offsets = map.getOffsets();
      tokens = map.getTokens();
    } else {
      return "its rows are read by " +
             use.getOwner()->getName().getStringRef().str() +
             ", not only by moek.grouped_matmul and moek.row_map";
    }
    // Experts of a layer with several kinds of bodies use a part of the groups.
    if (auto slice = offsets.getDefiningOp<tensor::ExtractSliceOp>())
      offsets = slice.getSource();
    if (offsets != op.getOffsets())
      return "a kernel that reads its rows has other groups";
    if (tokens && tokens != op.getTokens())
      return "a kernel that reads its rows reads those of other tokens, too";
  }
  return {};
}

static bool isReadByExpertLoops(GatherOp op) {
  return llvm::any_of(op->getUsers(), isOnlyForExpertLoops);
}

/// `row` times the value of a row that is the block's last argument.
static void multiplyRow(RewriterBase &b, Block &block, BlockArgument row,
                        BlockArgument weight) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&block);
  Location loc = row.getLoc();
  Value scale = weight;
  if (auto type = dyn_cast<VectorType>(row.getType()))
    scale = vector::BroadcastOp::create(b, loc, type, weight);
  Value product = arith::MulFOp::create(b, loc, row, scale);
  b.replaceAllUsesExcept(row, product, product.getDefiningOp());
}

/// Turns operand `i` of `rows` into one of `gathered`, in an op whose region
/// takes one argument for each after `before` others.
template <typename OpTy>
static void gatherRows(RewriterBase &b, OpTy user, unsigned i, GatherOp gather,
                       Block &block, unsigned before) {
  b.modifyOpInPlace(user, [&] {
    user.getRowsMutable().erase(i);
    unsigned number = user.getGathered().size();
    user.getGatheredMutable().append(gather.getX());
    user.getTokensMutable().assign(gather.getTokens());
    BlockArgument old = block.getArgument(before + number + i);
    BlockArgument row =
        block.insertArgument(before + number, old.getType(), old.getLoc());
    old.replaceAllUsesWith(row);
    block.eraseArgument(old.getArgNumber());
    if (!gather.getRowWeights())
      return;
    unsigned last = before + number + 1 + user.getRows().size();
    user.getRowsMutable().append(gather.getRowWeights());
    multiplyRow(b, block, block.getArgument(before + number),
                block.insertArgument(last, b.getF32Type(), row.getLoc()));
  });
}

static void fuse(RewriterBase &b, GatherOp op) {
  Value gathered = op.getResult(0);
  for (Operation *user :
       llvm::to_vector(SetVector<Operation *>(op->user_begin(), op->user_end()))) {
    auto find = [&](OperandRange rows) -> std::optional<unsigned> {
      auto it = llvm::find(rows, gathered);
      if (it == rows.end())
        return std::nullopt;
      return static_cast<unsigned>(it - rows.begin());
    };
    if (auto map = dyn_cast<RowMapOp>(user)) {
      while (std::optional<unsigned> i = find(map.getRows()))
        gatherRows(b, map, *i, op, map.getBody().front(), 0);
      continue;
    }
    auto matmul = cast<GroupedMatmulOp>(user);
    while (std::optional<unsigned> i = find(matmul.getRows()))
      gatherRows(b, matmul, *i, op, matmul.getEpilogue().front(),
                 static_cast<unsigned>(matmul.getParts()));
    if (matmul.getLhs() != gathered)
      continue;
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
            << "rows are gathered by the kernels that read them";
        fuse(rewriter, op);
        continue;
      }
      StoredRows stored;
      if (op->getNumResults() == 1)
        stored = {op->getResult(0), getRowsOfToken(op.getOffsets())};
      reportMissed(op, kPassName,
                   {"gathered rows are stored", why,
                    "a gather whose only users are kernels on rows of the same "
                    "groups moves into them",
                    stored});
    }
  }
};
} // namespace

void moe::populateFuseGatherPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseGatherPattern>(patterns.getContext());
}
