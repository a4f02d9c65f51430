//===- MoeFolds.cpp - Folds and canonicalizations --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is simpler whatever the target: none of these rewrites trades one form
// for another that some target may like less.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/Matchers.h"

#include <cmath>

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

/// The routing that `routing` was made from by an op that keeps its tokens, or
/// null.
static Value getSameTokens(Value routing) {
  if (auto append = routing.getDefiningOp<RoutingAppendOp>())
    return append.getRouting();
  if (auto limit = routing.getDefiningOp<RoutingLimitOp>())
    return limit.getRouting();
  if (auto reweigh = routing.getDefiningOp<RoutingReweighOp>())
    return reweigh.getRouting();
  return {};
}

std::optional<int64_t> moe::getStaticNumTokens(Value routing) {
  // In a graph region a value may depend on itself: give up after some steps.
  for (int steps = 0; steps < 32; ++steps) {
    Value source = getSameTokens(routing);
    if (!source)
      break;
    routing = source;
  }
  RankedTensorType type;
  if (auto router = routing.getDefiningOp<RouterOp>())
    type = router.getTokensOperand().getType();
  else if (auto make = routing.getDefiningOp<RoutingMakeOp>())
    type = make.getIndices().getType();
  if (!type || type.isDynamicDim(0))
    return std::nullopt;
  return type.getDimSize(0);
}

/// Whether every element of `value` is zero, of either sign.
static bool isAllZeros(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    return matchPattern(fill.getInputs().front(), m_AnyZeroFloat());
  if (auto cast = value.getDefiningOp<tensor::CastOp>())
    return isAllZeros(cast.getSource());
  return matchPattern(value, m_AnyZeroFloat());
}

/// An empty tensor of `type`, which has no rows.
static Value buildNoRows(PatternRewriter &rewriter, Location loc,
                         RankedTensorType type) {
  SmallVector<int64_t> shape(type.getShape());
  shape.front() = 0;
  Value empty =
      tensor::EmptyOp::create(rewriter, loc, shape, type.getElementType());
  if (empty.getType() == type)
    return empty;
  return tensor::CastOp::create(rewriter, loc, type, empty);
}

Operation *MoeDialect::materializeConstant(OpBuilder &builder, Attribute value,
                                           Type type, Location loc) {
  return arith::ConstantOp::materialize(builder, value, type, loc);
}

//===----------------------------------------------------------------------===//
// RouterOp
//===----------------------------------------------------------------------===//

namespace {

/// Drops scalings by one, merges neighbouring scalings, and drops a list that
/// is empty.
struct SimplifyWeighing : OpRewritePattern<RouterOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouterOp op,
                                PatternRewriter &rewriter) const final {
    if (!op.getWeighing())
      return failure();
    SmallVector<Attribute> steps;
    for (Attribute step : op.getWeighingAttr()) {
      auto scale = dyn_cast<ScaleAttr>(step);
      auto last =
          steps.empty() ? ScaleAttr() : dyn_cast<ScaleAttr>(steps.back());
      if (scale && last) {
        double factor = scale.getFactor() * last.getFactor();
        if (std::isfinite(factor)) {
          steps.back() = ScaleAttr::get(op.getContext(), factor);
          step = {};
        }
      }
      if (step)
        steps.push_back(step);
    }
    llvm::erase_if(steps, [](Attribute step) {
      auto scale = dyn_cast<ScaleAttr>(step);
      return scale && scale.getFactor() == 1.0;
    });
    if (!steps.empty() && steps.size() == op.getWeighing()->size())
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      if (steps.empty())
        op.removeWeighingAttr();
      else
        op.setWeighingAttr(rewriter.getArrayAttr(steps));
    });
    return success();
  }
};

/// A region that yields its argument says nothing.
struct DropIdentityWeights : OpRewritePattern<RouterOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RouterOp op,
                                PatternRewriter &rewriter) const final {
    Region &region = op.getWeightsRegion();
    if (region.empty() ||
        region.front().getTerminator()->getOperand(0) != region.getArgument(0))
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      for (Operation &nested :
           llvm::make_early_inc_range(llvm::reverse(region.front())))
        rewriter.eraseOp(&nested);
      rewriter.eraseBlock(&region.front());
    });
    return success();
  }
};

} // namespace

void RouterOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<SimplifyWeighing, DropIdentityWeights>(context);
}

//===----------------------------------------------------------------------===//
// DispatchOp, ExpertOp, CombineOp
//===----------------------------------------------------------------------===//

namespace {

/// No tokens, no rows.
struct DispatchNothing : OpRewritePattern<DispatchOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DispatchOp op,
                                PatternRewriter &rewriter) const final {
    if (op.getX().getType().getDimSize(0) != 0)
      return failure();
    rewriter.replaceOp(
        op, buildNoRows(rewriter, op.getLoc(), op.getRows().getType()));
    return success();
  }
};

/// Removes weights that no body reads.
struct DropUnusedExpertWeights : OpRewritePattern<ExpertOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ExpertOp op,
                                PatternRewriter &rewriter) const final {
    SmallVector<Value> weights;
    SmallVector<int64_t> counts;
    SmallVector<llvm::BitVector> unused;
    bool changed = false;
    for (unsigned i = 0, e = op.getNumGroups(); i != e; ++i) {
      Block &body = op.getGroupBody(i);
      llvm::BitVector &drop = unused.emplace_back(body.getNumArguments());
      int64_t count = 0;
      for (auto [j, weight] : llvm::enumerate(op.getGroupWeights(i))) {
        if (body.getArgument(j + 1).use_empty()) {
          drop.set(j + 1);
          changed = true;
          continue;
        }
        weights.push_back(weight);
        ++count;
      }
      counts.push_back(count);
    }
    if (!changed)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getWeightsMutable().assign(weights);
      op.setWeightCounts(counts);
      for (auto [i, drop] : llvm::enumerate(unused))
        op.getGroupBody(i).eraseArguments(drop);
    });
    return success();
  }
};

/// Adding zeros changes nothing.
struct DropZeroInit : OpRewritePattern<CombineOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CombineOp op,
                                PatternRewriter &rewriter) const final {
    if (!op.getInit() || !isAllZeros(op.getInit()))
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getInitMutable().clear(); });
    return success();
  }
};

/// No tokens, no rows.
struct CombineNothing : OpRewritePattern<CombineOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CombineOp op,
                                PatternRewriter &rewriter) const final {
    if (op.getResult().getType().getDimSize(0) != 0)
      return failure();
    rewriter.replaceOp(
        op, buildNoRows(rewriter, op.getLoc(), op.getResult().getType()));
    return success();
  }
};

} // namespace

void DispatchOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                             MLIRContext *context) {
  patterns.add<DispatchNothing>(context);
}

void ExpertOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<DropUnusedExpertWeights>(context);
}

void CombineOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<DropZeroInit, CombineNothing>(context);
}

OpFoldResult ExpertOp::fold(FoldAdaptor) {
  // Experts that all hand on their rows.
  if (getRows().getType() != getResult().getType())
    return {};
  for (unsigned i = 0, e = getNumGroups(); i != e; ++i) {
    Block &body = getGroupBody(i);
    if (&body.front() != body.getTerminator() ||
        body.getTerminator()->getOperand(0) != body.getArgument(0))
      return {};
  }
  return getRows();
}

//===----------------------------------------------------------------------===//
// FFNOp
//===----------------------------------------------------------------------===//

namespace {

/// Biases of zeros.
struct DropZeroBias : OpRewritePattern<FFNOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(FFNOp op,
                                PatternRewriter &rewriter) const final {
    auto isZero = [](Value bias) { return bias && isAllZeros(bias); };
    bool gate = isZero(op.getGateBias()), up = isZero(op.getUpBias()),
         down = isZero(op.getDownBias());
    if (!gate && !up && !down)
      return failure();
    // One after the other: each removal moves the operands behind it.
    rewriter.modifyOpInPlace(op, [&] {
      if (gate)
        op.getGateBiasMutable().clear();
      if (up)
        op.getUpBiasMutable().clear();
      if (down)
        op.getDownBiasMutable().clear();
    });
    return success();
  }
};

} // namespace

void FFNOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                        MLIRContext *context) {
  patterns.add<DropZeroBias>(context);
}

//===----------------------------------------------------------------------===//
// Routing ops
//===----------------------------------------------------------------------===//

OpFoldResult RoutingMakeOp::fold(FoldAdaptor) {
  // A routing taken apart and put together again.
  auto indices = getIndices().getDefiningOp<RoutingIndicesOp>();
  auto weights = getWeights().getDefiningOp<RoutingWeightsOp>();
  if (indices && weights && indices.getRouting() == weights.getRouting() &&
      indices.getRouting().getType() == getRouting().getType())
    return indices.getRouting();
  return {};
}

OpFoldResult RoutingIndicesOp::fold(FoldAdaptor) {
  auto make = getRouting().getDefiningOp<RoutingMakeOp>();
  if (make && make.getIndices().getType() == getResult().getType())
    return make.getIndices();
  return {};
}

OpFoldResult RoutingWeightsOp::fold(FoldAdaptor) {
  auto make = getRouting().getDefiningOp<RoutingMakeOp>();
  if (make && make.getWeights().getType() == getResult().getType())
    return make.getWeights();
  return {};
}

/// The list of a routing without tokens is empty.
template <typename OpTy> static OpFoldResult foldWithoutTokens(OpTy op) {
  if (getStaticNumTokens(op.getRouting()) != 0 ||
      !op.getResult().getType().hasStaticShape())
    return {};
  Type element = op.getResult().getType().getElementType();
  return DenseElementsAttr::get(op.getResult().getType(),
                                IntegerAttr::get(element, 0));
}

OpFoldResult RoutingOffsetsOp::fold(FoldAdaptor) {
  return foldWithoutTokens(*this);
}

OpFoldResult RoutingTokensOp::fold(FoldAdaptor) { return {}; }

OpFoldResult RoutingNumTokensOp::fold(FoldAdaptor) {
  if (std::optional<int64_t> tokens = getStaticNumTokens(getRouting()))
    return IntegerAttr::get(IndexType::get(getContext()), *tokens);
  // Neither appending nor dropping changes the number of tokens.
  Value source = getSameTokens(getRouting());
  if (!source || source == getRouting())
    return {};
  getRoutingMutable().assign(source);
  return getResult();
}

namespace {

/// The tokens of a routing made here are the rows of what made it.
struct NumTokensToDim : OpRewritePattern<RoutingNumTokensOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RoutingNumTokensOp op,
                                PatternRewriter &rewriter) const final {
    Value tensor;
    if (auto router = op.getRouting().getDefiningOp<RouterOp>())
      tensor = router.getTokensOperand();
    else if (auto make = op.getRouting().getDefiningOp<RoutingMakeOp>())
      tensor = make.getIndices();
    if (!tensor)
      return failure();
    Value zero = arith::ConstantIndexOp::create(rewriter, op.getLoc(), 0);
    rewriter.replaceOpWithNewOp<tensor::DimOp>(op, tensor, zero);
    return success();
  }
};

/// Appending twice is appending more, as long as all weights are one.
struct MergeAppends : OpRewritePattern<RoutingAppendOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RoutingAppendOp op,
                                PatternRewriter &rewriter) const final {
    auto first = op.getRouting().getDefiningOp<RoutingAppendOp>();
    if (!first || first == op || first.getWeights() || op.getWeights())
      return failure();
    rewriter.modifyOpInPlace(
        op, [&] { op.getRoutingMutable().assign(first.getRouting()); });
    return success();
  }
};

/// The table that `body` multiplies by: it yields `weight` times the entry of
/// expert `index`. Where there is no expert the read has no meaning, so nothing
/// is to be kept of such slots. Null if it is something else.
Value matchScaledByExpert(Block &body, Value index, Value weight) {
  auto product =
      body.getTerminator()->getOperand(0).getDefiningOp<arith::MulFOp>();
  if (!product)
    return {};
  for (auto [factor, other] : {std::pair(product.getLhs(), product.getRhs()),
                               std::pair(product.getRhs(), product.getLhs())}) {
    auto entry = factor.getDefiningOp<tensor::ExtractOp>();
    if (other != weight || !entry || entry.getIndices().size() != 1)
      continue;
    auto cast = entry.getIndices()[0].getDefiningOp<arith::IndexCastOp>();
    if (cast && cast.getIn() == index)
      return entry.getTensor();
  }
  return {};
}

/// Weights taken out of a routing, multiplied by a factor of each expert, and
/// put back.
struct MakeScaledByExpert : OpRewritePattern<RoutingMakeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RoutingMakeOp op,
                                PatternRewriter &rewriter) const final {
    auto indices = op.getIndices().getDefiningOp<RoutingIndicesOp>();
    auto scaled = op.getWeights().getDefiningOp<linalg::GenericOp>();
    if (!indices || !scaled ||
        indices.getRouting().getType() != op.getRouting().getType() ||
        scaled.getNumDpsInputs() != 2 || scaled.getNumResults() != 1 ||
        scaled.getNumParallelLoops() != 2 || scaled.getNumLoops() != 2 ||
        !llvm::all_of(scaled.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); }))
      return failure();
    for (unsigned i = 0; i < 2; ++i) {
      auto weights =
          scaled.getInputs()[1 - i].getDefiningOp<RoutingWeightsOp>();
      if (scaled.getInputs()[i] != indices.getResult() || !weights ||
          weights.getRouting() != indices.getRouting())
        continue;
      Block &body = *scaled.getBlock();
      Value table = matchScaledByExpert(body, body.getArgument(i),
                                        body.getArgument(1 - i));
      if (!table || table.getType() !=
                        RankedTensorType::get(
                            {op.getRouting().getType().getExperts()},
                            weights.getResult().getType().getElementType()))
        continue;
      rewriter.replaceOpWithNewOp<RoutingReweighOp>(
          op, op.getRouting().getType(), indices.getRouting(), table,
          ArrayAttr());
      return success();
    }
    return failure();
  }
};

} // namespace

void RoutingMakeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                MLIRContext *context) {
  patterns.add<MakeScaledByExpert>(context);
}

void RoutingNumTokensOp::getCanonicalizationPatterns(
    RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<NumTokensToDim>(context);
}

void RoutingAppendOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                                  MLIRContext *context) {
  patterns.add<MergeAppends>(context);
}

OpFoldResult RoutingAppendOp::fold(FoldAdaptor) {
  if (getNumAppended() == 0 && getRouting() != getResult())
    return getRouting();
  return {};
}

OpFoldResult RoutingLimitOp::fold(FoldAdaptor) {
  // No expert has more arrivals than there are tokens in a group.
  std::optional<int64_t> tokens = getStaticNumTokens(getRouting());
  int64_t group = tokens.value_or(-1);
  if (getGroupSize() &&
      (!tokens || static_cast<int64_t>(*getGroupSize()) < *tokens))
    group = *getGroupSize();
  // The last group may be shorter, and its capacity with it.
  bool alike = getCapacity() || (tokens && *tokens <= group);
  if (group >= 0 && alike && getCapacityOf(group) >= group)
    return getRouting();
  // What the smaller of two limits keeps, the larger keeps too.
  auto first = getRouting().getDefiningOp<RoutingLimitOp>();
  if (!first || first == *this || !first.isPlain() || !isPlain())
    return {};
  if (*first.getCapacity() <= *getCapacity())
    return getRouting();
  getRoutingMutable().assign(first.getRouting());
  return getResult();
}

OpFoldResult RoutingReweighOp::fold(FoldAdaptor) {
  bool steps = getWeighing() && !getWeighing()->empty();
  if (!getScales() && !steps && getRouting() != getResult())
    return getRouting();
  return {};
}
