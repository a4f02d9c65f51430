//===- HoistWeightViews.cpp - Views of weights outside of experts -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Models store gate and up in one tensor, or one of them transposed, and take
// them apart for each expert. Taken apart for all experts at once, each is a
// weight that can be packed ahead of time.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_HOISTWEIGHTVIEWS
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-hoist-weight-views";

/// What `op`, a view of one expert's weight, is of `weights`, those of all
/// experts; null if it is no view of them.
static Value buildView(OpBuilder &b, Operation *op, Value weights) {
  Location loc = op->getLoc();
  auto result = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  auto from = cast<RankedTensorType>(weights.getType());
  if (!result || !result.hasStaticShape() || !from.hasStaticShape())
    return {};
  SmallVector<int64_t> shape(result.getShape());
  shape.insert(shape.begin(), from.getDimSize(0));
  auto type = result.clone(shape);
  // The dimension of experts is in front of all.
  auto shift = [](ArrayRef<ReassociationIndices> groups) {
    SmallVector<ReassociationIndices> shifted = {{0}};
    for (const ReassociationIndices &group : groups) {
      ReassociationIndices &to = shifted.emplace_back();
      for (int64_t d : group)
        to.push_back(d + 1);
    }
    return shifted;
  };
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    auto batch = [&](ArrayRef<OpFoldResult> own, int64_t first) {
      SmallVector<OpFoldResult> all = {b.getIndexAttr(first)};
      llvm::append_range(all, own);
      return all;
    };
    // Only a constant is the same for all experts.
    if (!slice.getOffsets().empty() || !slice.getSizes().empty() ||
        !slice.getStrides().empty())
      return {};
    return tensor::ExtractSliceOp::create(
        b, loc, type, weights, batch(slice.getMixedOffsets(), 0),
        batch(slice.getMixedSizes(), shape.front()),
        batch(slice.getMixedStrides(), 1));
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return tensor::ExpandShapeOp::create(
        b, loc, type, weights, shift(expand.getReassociationIndices()));
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return tensor::CollapseShapeOp::create(
        b, loc, type, weights, shift(collapse.getReassociationIndices()));
  std::optional<SmallVector<int64_t>> own = getPermutation(op);
  if (!own)
    return {};
  SmallVector<int64_t> permutation = {0};
  for (int64_t d : *own)
    permutation.push_back(d + 1);
  Value empty =
      tensor::EmptyOp::create(b, loc, shape, result.getElementType());
  return linalg::TransposeOp::create(b, loc, weights, empty, permutation)
      ->getResult(0);
}

/// `value` of `body` for all experts at once, or null. `weights` are those of
/// the body's arguments.
static Value hoist(OpBuilder &b, Value value, Block &body, ValueRange weights,
                   DenseMap<Value, Value> &hoisted, std::string &why) {
  if (Value found = hoisted.lookup(value))
    return found;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (argument.getOwner() == &body && argument.getArgNumber() > 0 &&
        argument.getArgNumber() <= weights.size())
      return weights[argument.getArgNumber() - 1];
    why = "it is none of the experts' weights";
    return {};
  }
  Operation *def = value.getDefiningOp();
  why = ("it is computed by " + def->getName().getStringRef()).str();
  if (def->getBlock() != &body || !WeightUse::isView(def))
    return {};
  std::string inner;
  Value from = hoist(b, def->getOperand(0), body, weights, hoisted, inner);
  if (!from) {
    why = inner;
    return {};
  }
  Value view = buildView(b, def, from);
  if (!view)
    why += " that is not the same view for all experts";
  else
    hoisted[value] = view;
  return view;
}

/// The argument of `body` that `value` is a view of, if it is a weight's.
static BlockArgument getViewedWeight(Value value, Block &body,
                                     unsigned numWeights) {
  Operation *def = value.getDefiningOp();
  if (!def || def->getBlock() != &body || !WeightUse::isView(def))
    return {};
  while (def && def->getBlock() == &body && WeightUse::isView(def)) {
    value = def->getOperand(0);
    def = value.getDefiningOp();
  }
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && argument.getOwner() == &body &&
                 argument.getArgNumber() > 0 &&
                 argument.getArgNumber() <= numWeights
             ? argument
             : BlockArgument();
}

/// Hoists the views of weights that the body of group `i` takes: all of them, or
/// none. Fails with the reason if it takes something else.
static LogicalResult hoistGroup(RewriterBase &b, ExpertOp op, unsigned i,
                                SmallVectorImpl<Value> &weights,
                                std::string &why) {
  Block &body = op.getGroupBody(i);
  const unsigned numWeights = weights.size();
  b.setInsertionPoint(op);
  Operation *before = op->getPrevNode();
  DenseMap<Value, Value> hoisted;
  SmallVector<std::pair<OpOperand *, Value>> views;
  auto look = [&](OpOperand &operand) -> LogicalResult {
    Value value = operand.get();
    if (!getViewedWeight(value, body, numWeights))
      return success();
    Value view = hoist(b, value, body, weights, hoisted, why);
    auto type = cast<RankedTensorType>(value.getType());
    // What a kernel cannot take is better computed for the experts that have
    // rows.
    if (!view ||
        (type.getRank() > 1 && failed(WeightUse::get(view, why)))) {
      why = "a weight is taken apart by each expert: " + why;
      return failure();
    }
    views.emplace_back(&operand, view);
    return success();
  };
  WalkResult found = body.walk([&](Operation *inner) {
    if (inner->getBlock() == &body && WeightUse::isView(inner))
      return WalkResult::advance();
    for (OpOperand &operand : inner->getOpOperands())
      if (failed(look(operand)))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  if (found.wasInterrupted()) {
    while (op->getPrevNode() != before)
      b.eraseOp(op->getPrevNode());
    return failure();
  }
  if (views.empty())
    return success();
  llvm::BitVector wasUsed;
  for (size_t n = 0; n <= weights.size(); ++n)
    wasUsed.push_back(!body.getArgument(n).use_empty());
  DenseMap<Value, Value> arguments;
  for (auto [operand, view] : views) {
    Value &own = arguments[view];
    if (!own) {
      weights.push_back(view);
      // Behind the other weights.
      own = body.insertArgument(weights.size(), operand->get().getType(),
                                operand->get().getLoc());
      wasUsed.push_back(false);
    }
    b.modifyOpInPlace(operand->getOwner(), [&, use = operand] { use->set(own); });
  }
  for (Operation &inner : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&inner))
      b.eraseOp(&inner);
  for (unsigned n = wasUsed.size(); --n > 0;)
    if (wasUsed[n] && body.getArgument(n).use_empty()) {
      body.eraseArgument(n);
      weights.erase(weights.begin() + n - 1);
    }
  return success();
}

namespace {
struct HoistWeightViews : moe::impl::HoistWeightViewsBase<HoistWeightViews> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](ExpertOp op) {
      SmallVector<Value> all;
      SmallVector<int64_t> counts;
      for (unsigned i = 0, e = op.getNumGroups(); i < e; ++i) {
        SmallVector<Value> weights(op.getGroupWeights(i));
        std::string why;
        if (failed(hoistGroup(rewriter, op, i, weights, why)))
          remark::missed(
              op.getLoc(),
              remark::RemarkOpts::name("not-hoisted").category(kPassName))
              << ("in group " + std::to_string(i) + " " + why +
                  "; slices, transpositions and reshapes of arguments and "
                  "constants, the same for all experts, become weights");
        llvm::append_range(all, weights);
        counts.push_back(weights.size());
      }
      rewriter.modifyOpInPlace(op, [&] {
        op.getWeightsMutable().assign(all);
        op.setWeightCounts(counts);
      });
    });
  }
};
} // namespace
