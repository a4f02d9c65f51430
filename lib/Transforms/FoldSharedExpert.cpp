//===- FoldSharedExpert.cpp - Shared experts that all tokens choose -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A shared expert costs kernels of its own, with few rows each at small batch
// sizes. As an expert that every token chooses it is a few more items of the
// kernels that run anyway. Its rows are summed last, as they were.
//
//===----------------------------------------------------------------------===//

#include "MatchBinary.h"

#include "moe-mlir/Transforms/Passes.h"

#include "moe-mlir/Analysis/MissedFusion.h"
#include "moe-mlir/Analysis/WeightUse.h"
#include "moe/Moe.h"
#include "moe/Placement.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_FOLDSHAREDEXPERT
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-fold-shared-expert";

//===----------------------------------------------------------------------===//
// Finding
//===----------------------------------------------------------------------===//

namespace {
/// A dense FFN added to the result of a layer.
struct SharedExpert {
  /// The layer.
  CombineOp combine;
  ExpertOp expert;
  DispatchOp dispatch;
  /// The FFN, and its factor per token if it has one: `[T]` or `[T, 1]`.
  FFNOp ffn;
  Value gate;
  /// The op whose result is the sum; the combine itself for its init.
  Operation *sum = nullptr;
};
} // namespace

/// Fills in what `value` is: an FFN, or an FFN times a factor per token.
static bool matchShared(Value value, SharedExpert &shared) {
  Operation *def = value.getDefiningOp();
  if (!def)
    return false;
  if ((shared.ffn = dyn_cast<FFNOp>(def)))
    return true;
  Value operands[2];
  AffineMap maps[2];
  if (!matchBinary<arith::MulFOp>(def, operands, maps))
    return false;
  for (int i = 0; i < 2; ++i) {
    auto ffn = operands[i].getDefiningOp<FFNOp>();
    Value gate = operands[1 - i];
    if (!ffn || !maps[i].isIdentity())
      continue;
    auto type = cast<RankedTensorType>(gate.getType());
    AffineMap map = maps[1 - i];
    bool perToken = map.getNumResults() >= 1 &&
                    map.getResult(0).isFunctionOfDim(0) &&
                    isa<AffineDimExpr>(map.getResult(0)) &&
                    (type.getRank() == 1 ||
                     (type.getRank() == 2 && type.getDimSize(1) == 1 &&
                      isa<AffineConstantExpr>(map.getResult(1))));
    if (!perToken)
      continue;
    shared.ffn = ffn;
    shared.gate = gate;
    return true;
  }
  return false;
}

/// The FFN that is all of the body of the first group, on the group's own
/// weights.
static FFNOp getRoutedFFN(ExpertOp op) {
  if (op.getNumGroups() == 0)
    return {};
  Block &body = op.getGroupBody(0);
  auto ffn = body.getTerminator()->getOperand(0).getDefiningOp<FFNOp>();
  if (!ffn || ffn->getBlock() != &body || ffn.getX() != body.getArgument(0))
    return {};
  for (Value operand : ffn->getOperands()) {
    auto arg = dyn_cast<BlockArgument>(operand);
    if (!arg || arg.getOwner() != &body)
      return {};
  }
  return ffn;
}

/// Whether the two compute the same activation.
static bool haveSameActivation(FFNOp a, FFNOp b) {
  if (a.getActivation() != b.getActivation() ||
      a.getBody().empty() != b.getBody().empty())
    return false;
  return a.getBody().empty() ||
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

/// Why the shared expert cannot be folded; empty if it can, and then `count` is
/// the number of experts of the routed size that it makes.
static std::string whyNot(const SharedExpert &shared, int64_t &count) {
  CombineOp combine = shared.combine;
  ExpertOp expert = shared.expert;
  DispatchOp dispatch = shared.dispatch;
  FFNOp ffn = shared.ffn;
  if (!expert || !dispatch)
    return "the combined rows are not those of a moe.expert on a moe.dispatch";
  if (!expert->hasOneUse() || !dispatch->hasOneUse())
    return "the rows of the layer have other uses";
  if (expert.getRouting() != combine.getRouting() ||
      dispatch.getRouting() != combine.getRouting())
    return "the ops of the layer use different routings";
  if (ffn.getX() != dispatch.getX())
    return "it reads another tensor than the layer does";
  if (!expert.getOthers().empty())
    return "the routed experts read other rows beside those of the layer";
  FFNOp routed = getRoutedFFN(expert);
  if (!routed)
    return "the routed experts are not one moe.ffn on their weights";
  if (ffn.getResult().getType() != combine.getResult().getType() ||
      ffn.getHidden() != routed.getHidden() ||
      ffn.getOutputHidden() != routed.getOutputHidden())
    return "its result differs in size or type from the layer's";
  if (!haveSameActivation(ffn, routed))
    return "its activation is not that of the routed experts";
  auto differ = [](Value a, Value b) {
    return !a != !b ||
           (a && getElementTypeOrSelf(a) != getElementTypeOrSelf(b));
  };
  if (differ(ffn.getGate(), routed.getGate()) ||
      differ(ffn.getUp(), routed.getUp()) ||
      differ(ffn.getDown(), routed.getDown()))
    return "its weights differ in kind or element type from those of the "
           "routed experts";
  if (differ(ffn.getGateBias(), routed.getGateBias()) ||
      differ(ffn.getUpBias(), routed.getUpBias()) ||
      differ(ffn.getDownBias(), routed.getDownBias()))
    return "it and the routed experts do not have the same biases";
  // What is not packed together runs on its own in any case, as experts with
  // more to do.
  const std::pair<Value, Value> matrices[] = {
      {ffn.getGate(), routed.getGate()},
      {ffn.getUp(), routed.getUp()},
      {ffn.getDown(), routed.getDown()}};
  for (auto [own, ofRouted] : matrices) {
    if (!own)
      continue;
    unsigned number = cast<BlockArgument>(ofRouted).getArgNumber();
    Value weights = expert.getGroupWeights(0)[number - 1];
    std::string why;
    if (!canPackTogether({own, weights}, why))
      return "its weights and those of the routed experts cannot be packed "
             "together: " +
             why;
  }
  int64_t own = ffn.getIntermediate(), size = routed.getIntermediate();
  if (own % size != 0)
    return "its intermediate size " + std::to_string(own) +
           " is not a multiple of that of the routed experts, " +
           std::to_string(size);
  count = own / size;
  if (count > 1 && ffn.getDownBias())
    return "its bias of the down projection would be added by each of the " +
           std::to_string(count) + " experts it makes";
  if (shared.gate && (dispatch.getWeighted() || combine.getUnweighted()))
    return "it is gated and the layer does not weigh what its experts give";
  if (shared.gate && !getElementTypeOrSelf(shared.gate).isF32())
    return "its gate is not f32";
  return {};
}

//===----------------------------------------------------------------------===//
// Folding
//===----------------------------------------------------------------------===//

/// The slice `[first, first + size)` of dimension `dim` of a weight or bias, as
/// the weight of one expert, with a leading dimension of 1.
static Value buildPart(OpBuilder &b, Location loc, Value weight, int64_t dim,
                       int64_t first, int64_t size) {
  if (!weight)
    return {};
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t rank = type.getRank();
  SmallVector<int64_t> shape(type.getShape());
  if (dim >= 0 && shape[dim] != size) {
    shape[dim] = size;
    SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(rank, b.getIndexAttr(1));
    offsets[dim] = b.getIndexAttr(first);
    SmallVector<OpFoldResult> sizes =
        getAsIndexOpFoldResult(b.getContext(), shape);
    weight =
        tensor::ExtractSliceOp::create(b, loc, weight, offsets, sizes, strides);
  }
  SmallVector<ReassociationIndices> reassociation(rank);
  reassociation[0] = {0, 1};
  for (int64_t d = 1; d < rank; ++d)
    reassociation[d] = {d + 1};
  shape.insert(shape.begin(), 1);
  return tensor::ExpandShapeOp::create(b, loc, type.clone(shape), weight,
                                       reassociation);
}

/// The gate as `[T, count]` weights.
static Value buildGate(OpBuilder &b, Location loc, Value gate, int64_t count) {
  auto type = cast<RankedTensorType>(gate.getType());
  if (type.getRank() == 2 && count == 1)
    return gate;
  SmallVector<Value> sizes;
  if (type.isDynamicDim(0))
    sizes.push_back(tensor::DimOp::create(b, loc, gate, 0));
  Value empty = tensor::EmptyOp::create(
      b, loc, ArrayRef<int64_t>{type.getDimSize(0), count},
      type.getElementType(), sizes);
  SmallVector<AffineExpr> results{b.getAffineDimExpr(0)};
  if (type.getRank() == 2)
    results.push_back(b.getAffineConstantExpr(0));
  return linalg::GenericOp::create(
             b, loc, empty.getType(), ValueRange{gate}, ValueRange{empty},
             ArrayRef<AffineMap>{AffineMap::get(2, 0, results, b.getContext()),
                                 b.getMultiDimIdentityMap(2)},
             SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
             [](OpBuilder &nb, Location nl, ValueRange args) {
               linalg::YieldOp::create(nb, nl, args[0]);
             })
      .getResult(0);
}

static void fold(RewriterBase &b, const SharedExpert &shared, int64_t count) {
  CombineOp combine = shared.combine;
  ExpertOp expert = shared.expert;
  DispatchOp dispatch = shared.dispatch;
  FFNOp ffn = shared.ffn;
  FFNOp routed = getRoutedFFN(expert);
  Location loc = ffn.getLoc();
  b.setInsertionPoint(shared.sum);

  RoutingType from = combine.getRouting().getType();
  auto to = RoutingType::get(b.getContext(), from.getExperts() + count,
                             from.getSlots() + count);
  Value gate;
  if (shared.gate)
    gate = buildGate(b, loc, shared.gate, count);
  Value routing =
      RoutingAppendOp::create(b, loc, to, combine.getRouting(), gate);

  IRMapping mapping;
  mapping.map(combine.getRouting(), routing);
  Operation *rows = b.clone(*dispatch, mapping);

  // One group per new expert: each is a slice of the shared weights.
  SmallVector<Value> weights(expert.getWeights());
  SmallVector<int64_t> bounds(expert.getBounds());
  SmallVector<int64_t> counts(expert.getWeightCounts());
  int64_t size = routed.getIntermediate();
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = i * size;
    Value parts[] = {buildPart(b, loc, ffn.getGate(), 0, first, size),
                     buildPart(b, loc, ffn.getUp(), 0, first, size),
                     buildPart(b, loc, ffn.getDown(), 1, first, size),
                     buildPart(b, loc, ffn.getGateBias(), 0, first, size),
                     buildPart(b, loc, ffn.getUpBias(), 0, first, size),
                     buildPart(b, loc, ffn.getDownBias(), -1, 0, 0)};
    int64_t present = 0;
    for (Value part : parts)
      if (part) {
        weights.push_back(part);
        ++present;
      }
    bounds.push_back(bounds.back() + 1);
    counts.push_back(present);
  }
  auto wide = ExpertOp::create(b, expert.getLoc(), expert.getResult().getType(),
                               rows->getResult(0), routing, weights,
                               /*others=*/ValueRange(), bounds, counts);
  wide->setDiscardableAttrs(expert->getDiscardableAttrDictionary());
  dropPlacements(wide);
  for (auto [region, group] : llvm::zip(wide.getGroups(), expert.getGroups()))
    region.takeBody(group);

  for (int64_t i = 0; i < count; ++i) {
    OpBuilder::InsertionGuard guard(b);
    // The body is the routed experts' FFN on the new group's arguments.
    unsigned group = wide.getNumGroups() - count + i;
    SmallVector<Type> types{routed.getX().getType()};
    SmallVector<Value> operands;
    Value all[] = {routed.getGate(),   routed.getUp(),
                   routed.getDown(),   routed.getGateBias(),
                   routed.getUpBias(), routed.getDownBias()};
    for (Value operand : all)
      if (operand) {
        types.push_back(operand.getType());
        operands.push_back(operand);
      }
    Block *body = b.createBlock(&wide.getGroups()[group], {}, types,
                                SmallVector<Location>(types.size(), loc));
    IRMapping bodyMapping;
    bodyMapping.map(routed.getX(), body->getArgument(0));
    for (auto [operand, arg] :
         llvm::zip(operands, body->getArguments().drop_front()))
      bodyMapping.map(operand, arg);
    Operation *copy = b.clone(*routed, bodyMapping);
    copy->setLoc(loc);
    YieldOp::create(b, loc, copy->getResults());
  }

  Value init = shared.sum == combine ? Value() : combine.getInit();
  Value result = CombineOp::create(
      b, combine.getLoc(), combine.getResult().getType(), wide.getResult(),
      routing, init, combine.getUnweighted());
  bool replacesCombine = shared.sum == combine;
  b.replaceOp(shared.sum, result);
  if (!replacesCombine)
    b.eraseOp(combine);
  b.eraseOp(expert);
  b.eraseOp(dispatch);
}

/// The shared expert of `combine`, if there is something like one.
static std::optional<SharedExpert> match(CombineOp combine) {
  SharedExpert shared;
  shared.combine = combine;
  shared.expert = combine.getRows().getDefiningOp<ExpertOp>();
  if (shared.expert)
    shared.dispatch = shared.expert.getRows().getDefiningOp<DispatchOp>();
  if (combine.getInit() && matchShared(combine.getInit(), shared)) {
    shared.sum = combine;
    return shared;
  }
  if (!combine->hasOneUse())
    return std::nullopt;
  Operation *user = *combine->user_begin();
  Value operands[2];
  AffineMap maps[2];
  if (user->getNumResults() != 1 ||
      user->getResult(0).getType() != combine.getResult().getType() ||
      !matchBinary<arith::AddFOp>(user, operands, maps) ||
      !maps[0].isIdentity() || !maps[1].isIdentity())
    return std::nullopt;
  Value other = operands[0] == combine.getResult() ? operands[1] : operands[0];
  if (!matchShared(other, shared) || user->getBlock() != combine->getBlock())
    return std::nullopt;
  shared.sum = user;
  return shared;
}

namespace {
struct FoldSharedExpert : moe::impl::FoldSharedExpertBase<FoldSharedExpert> {
  void runOnOperation() override {
    SmallVector<CombineOp> combines;
    getOperation()->walk([&](CombineOp op) { combines.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (CombineOp combine : combines) {
      std::optional<SharedExpert> shared = match(combine);
      if (!shared)
        continue;
      FFNOp ffn = shared->ffn;
      auto opts = [](StringRef name) {
        return remark::RemarkOpts::name(name).category(kPassName);
      };
      int64_t count = 0;
      std::string why = whyNot(*shared, count);
      if (!why.empty()) {
        reportMissed(ffn, kPassName,
                     {"a dense FFN added to a layer runs on its own",
                      why,
                      "one on the layer's input, with the routed experts' "
                      "activation, types and a multiple of their size would "
                      "become experts that every token chooses",
                      {ffn.getResult()},
                      "not-folded"});
        continue;
      }
      remark::passed(ffn.getLoc(), opts("folded"))
          << ("the shared expert is " + std::to_string(count) +
              " experts of the routed size that every token chooses");
      fold(rewriter, *shared, count);
      // The gating of the FFN's result, if there was one, goes with it.
      for (Operation *user : llvm::to_vector(ffn->getUsers()))
        if (isOpTriviallyDead(user))
          rewriter.eraseOp(user);
      if (ffn->use_empty())
        rewriter.eraseOp(ffn);
    }
  }
};
} // namespace
