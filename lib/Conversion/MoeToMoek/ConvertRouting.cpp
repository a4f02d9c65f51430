//===- ConvertRouting.cpp - moe.router and moe.routing.* -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Policies that see all tokens are in BatchPolicies.cpp.
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include "BatchPolicies.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace moe;
using moek::RoutingPart;
using moek::RoutingParts;

/// Entries that packing a mask may write beyond its last list.
static constexpr int64_t kMaskPadding = 64;

/// Empty tensors for `parts` of a routing. `padding` is room in its lists
/// beyond T * K.
static SmallVector<Value> buildRoutingOutputs(OpBuilder &b, Location loc,
                                              Value tokens, RoutingType type,
                                              ArrayRef<RoutingPart> parts,
                                              int64_t padding = 0) {
  SmallVector<Value> outputs;
  Value slots = arith::ConstantIndexOp::create(b, loc, type.getSlots());
  Value assignments = arith::MulIOp::create(b, loc, tokens, slots);
  if (padding != 0)
    assignments = arith::AddIOp::create(
        b, loc, assignments, arith::ConstantIndexOp::create(b, loc, padding));
  for (const RoutingPart &part : parts) {
    RankedTensorType partType =
        part.getType(b.getContext(), type.getExperts(), type.getSlots());
    SmallVector<Value> sizes;
    if (partType.isDynamicDim(0))
      sizes.push_back(part.sizes == RoutingPart::Assignments ? assignments
                                                             : tokens);
    outputs.push_back(tensor::EmptyOp::create(b, loc, partType, sizes));
  }
  return outputs;
}

RoutingParts moe::buildIndex(OpBuilder &b, Location loc, Value indices,
                             Value weights, RoutingType type, bool traced) {
  Value tokens = getDim(b, loc, indices, 0);
  SmallVector<Value> outputs =
      buildRoutingOutputs(b, loc, tokens, type, moek::getRoutingLists());
  auto index = moek::IndexOp::create(b, loc, TypeRange(ValueRange(outputs)),
                                     indices, weights, outputs,
                                     type.getExperts(), traced);
  return index.getRoutingResults();
}

namespace {

struct ConvertRouter : MoePattern<RouterOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RouterOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SelectionPolicyAttrInterface policy = op.getPolicy();
    if (policy.seesAllTokens())
      return failure();
    Value select = getSingle(adaptor.getSelect());
    Value weigh = getSingle(adaptor.getWeigh());
    RoutingType type = op.getRouting().getType();
    SmallVector<Value> rows;
    if (select)
      rows.push_back(withDynamicRows(b, loc, select));
    if (weigh && weigh != select)
      rows.push_back(withDynamicRows(b, loc, weigh));
    SmallVector<Value> operands;
    for (auto [i, operand] : llvm::enumerate(adaptor.getPolicyOperands()))
      operands.push_back(policy.isTokenOperand(i)
                             ? withDynamicRows(b, loc, operand.front())
                             : operand.front());
    policy.buildChecks(b, loc, operands, type.getExperts(),
                       [&](Value holds, StringRef message) {
                         moert::CheckOp::create(
                             b, loc, holds, moert::Status::BadValue, message);
                       });
    Value tokens = getDim(b, loc, op.getTokensOperand(), 0);
    SmallVector<Value> outputs =
        buildRoutingOutputs(b, loc, tokens, type, moek::kRoutingParts,
                            policy.selectsByMask() ? kMaskPadding : 0);
    auto route = moek::RouteOp::create(
        b, loc, TypeRange(ValueRange(outputs)), /*x=*/Value(),
        /*router=*/Value(), rows, /*columns=*/ValueRange(),
        /*vectors=*/ValueRange(), /*scalars=*/ValueRange(), operands,
        /*per_expert=*/ValueRange(), /*always_weights=*/Value(), outputs,
        policy, static_cast<uint64_t>(type.getExperts()),
        /*always=*/uint64_t(0),
        /*capacity=*/IntegerAttr(), moek::ScheduleAttrInterface());
    OpBuilder::InsertionGuard guard(b);
    Type rowType = VectorType::get({type.getExperts()}, b.getF32Type());
    Type slotType = VectorType::get({type.getSlots()}, b.getF32Type());
    Block *scores = b.createBlock(&route.getScores(), {},
                                  SmallVector<Type>(rows.size(), rowType),
                                  SmallVector<Location>(rows.size(), loc));
    SmallVector<Value> yielded;
    if (select)
      yielded.push_back(scores->getArgument(0));
    if (weigh)
      yielded.push_back(scores->getArguments().back());
    moek::YieldOp::create(b, loc, yielded);
    SmallVector<Type> weighTypes{slotType};
    bool full = policy.fillsAllSlots(type.getExperts());
    if (!full)
      weighTypes.push_back(VectorType::get({type.getSlots()}, b.getI1Type()));
    Block *weights =
        b.createBlock(&route.getWeigh(), {}, weighTypes,
                      SmallVector<Location>(weighTypes.size(), loc));
    Value w = op.buildWeights(b, loc, weights->getArgument(0),
                              full ? Value() : Value(weights->getArgument(1)));
    if (!w)
      return failure();
    moek::YieldOp::create(b, loc, ValueRange{w});
    replaceRouting(b, op, route.getRoutingResults());
    return success();
  }
};

struct ConvertMake : MoePattern<RoutingMakeOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingMakeOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Value indices = withDynamicRows(b, loc, adaptor.getIndices().front());
    Value weights =
        convertElements(b, loc, adaptor.getWeights().front(), b.getF32Type());
    weights = withDynamicRows(b, loc, weights);
    replaceRouting(
        b, op, buildIndex(b, loc, indices, weights, op.getRouting().getType()));
    return success();
  }
};

/// moe.routing.{indices,weights,offsets}: one of the tensors.
template <typename OpTy, Value RoutingParts::*part>
struct ConvertView : MoePattern<OpTy> {
  using MoePattern<OpTy>::MoePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                typename MoePattern<OpTy>::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    auto type = cast<RankedTensorType>(op.getResult().getType());
    Value value = RoutingParts(adaptor.getRouting()).*part;
    if (isa<FloatType>(type.getElementType()))
      value = convertElements(b, op.getLoc(), value, type.getElementType());
    b.replaceOp(op, castTo(b, op.getLoc(), value, type));
    return success();
  }
};

struct ConvertTokens : MoePattern<RoutingTokensOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingTokensOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingParts routing(adaptor.getRouting());
    // The tensor has room for every slot; only the used part is the value.
    Value size =
        buildOffset(b, loc, routing.offsets,
                    b.getIndexAttr(op.getRouting().getType().getExperts()));
    Value tokens = tensor::ExtractSliceOp::create(
        b, loc, routing.tokens, ArrayRef<OpFoldResult>{b.getIndexAttr(0)},
        ArrayRef<OpFoldResult>{size},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
    b.replaceOp(op, castTo(b, loc, tokens, op.getResult().getType()));
    return success();
  }
};

struct ConvertNumTokens : MoePattern<RoutingNumTokensOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingNumTokensOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    b.replaceOp(op, getDim(b, op.getLoc(),
                           RoutingParts(adaptor.getRouting()).indices, 0));
    return success();
  }
};

} // namespace

moek::RouteOp moe::getExtensibleRoute(Value routing,
                                      const RoutingParts &parts) {
  if (!isa_and_present<RouterOp, RoutingReweighOp>(routing.getDefiningOp()) ||
      !routing.hasOneUse())
    return {};
  // Weights that were computed anew elsewhere are not the kernel's.
  auto route = parts.weights.getDefiningOp<moek::RouteOp>();
  if (!route || route.getAlways() != 0 || route.getCapacity())
    return {};
  return route;
}

moek::RouteOp moe::buildExtendedRoute(OpBuilder &b, moek::RouteOp route,
                                      RoutingType type, int64_t always,
                                      Value alwaysWeights, IntegerAttr capacity,
                                      ValueRange perExpert) {
  Location loc = route.getLoc();
  Value tokens = getDim(b, loc, route.getRouting().indices, 0);
  SmallVector<Value> outputs =
      buildRoutingOutputs(b, loc, tokens, type, moek::kRoutingParts,
                          route.getPolicy().selectsByMask() ? kMaskPadding : 0);
  auto extended = moek::RouteOp::create(
      b, loc, TypeRange(ValueRange(outputs)), route.getX(), route.getRouter(),
      route.getRows(), route.getColumns(), route.getVectors(),
      route.getScalars(), route.getPolicyOperands(), perExpert, alwaysWeights,
      outputs, route.getPolicy(), route.getExperts(),
      static_cast<uint64_t>(always), capacity, route.getScheduleAttr());
  OpBuilder::InsertionGuard guard(b);
  for (auto [from, to] : {std::pair(&route.getScores(), &extended.getScores()),
                          std::pair(&route.getWeigh(), &extended.getWeigh())}) {
    Block &source = from->front();
    Block *block =
        b.createBlock(to, {}, source.getArgumentTypes(),
                      SmallVector<Location>(source.getNumArguments(), loc));
    IRMapping mapping;
    mapping.map(source.getArguments(), block->getArguments());
    for (Operation &op : source)
      b.clone(op, mapping);
  }
  return extended;
}

namespace {

/// As `getExtensibleRoute`, for what changes the lists: a mask has them packed
/// without slots.
moek::RouteOp getRouteWithSlots(Value routing, const RoutingParts &parts) {
  moek::RouteOp route = getExtensibleRoute(routing, parts);
  return route && !route.getPolicy().selectsByMask() ? route : moek::RouteOp();
}

struct ConvertAppend : MoePattern<RoutingAppendOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingAppendOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingType from = op.getRouting().getType();
    RoutingType to = op.getResult().getType();
    int64_t appended = op.getNumAppended();
    RoutingParts routing(adaptor.getRouting());
    Value given;
    if (!adaptor.getWeights().empty())
      given =
          withDynamicRows(b, loc,
                          convertElements(b, loc, adaptor.getWeights().front(),
                                          b.getF32Type()));
    if (moek::RouteOp route = getRouteWithSlots(op.getRouting(), routing)) {
      replaceRouting(b, op,
                     buildExtendedRoute(b, route, to, appended, given,
                                        IntegerAttr(), route.getPerExpert())
                         .getRoutingResults());
      return success();
    }
    Value tokens = getDim(b, loc, routing.indices, 0);
    // The new columns: expert ids, and ones or the given weights.
    Value idColumns = buildEmptyRows(b, loc, tokens, appended, b.getI32Type());
    idColumns =
        linalg::GenericOp::create(
            b, loc, idColumns.getType(), ValueRange(), ValueRange{idColumns},
            ArrayRef<AffineMap>{b.getMultiDimIdentityMap(2)},
            SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
            [&](OpBuilder &nb, Location nl, ValueRange) {
              Value column = linalg::IndexOp::create(nb, nl, 1);
              column =
                  arith::IndexCastOp::create(nb, nl, nb.getI32Type(), column);
              Value first = arith::ConstantOp::create(
                  nb, nl, nb.getI32IntegerAttr(from.getExperts()));
              Value id = arith::AddIOp::create(nb, nl, column, first);
              linalg::YieldOp::create(nb, nl, id);
            })
            .getResult(0);
    if (!given) {
      Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0f));
      given = buildEmptyRows(b, loc, tokens, appended, b.getF32Type());
      given = linalg::FillOp::create(b, loc, one, given).getResult(0);
    }
    auto widen = [&](Value old, Value columns) -> Value {
      Type element = cast<RankedTensorType>(old.getType()).getElementType();
      Value all = buildEmptyRows(b, loc, tokens, to.getSlots(), element);
      SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
      auto insert = [&](Value part, int64_t column, int64_t width) {
        SmallVector<OpFoldResult> offsets{b.getIndexAttr(0),
                                          b.getIndexAttr(column)};
        SmallVector<OpFoldResult> sizes{tokens, b.getIndexAttr(width)};
        all = tensor::InsertSliceOp::create(b, loc, part, all, offsets, sizes,
                                            strides);
      };
      insert(old, 0, from.getSlots());
      insert(columns, from.getSlots(), appended);
      return all;
    };
    Value indices = widen(routing.indices, idColumns);
    Value weights = widen(routing.weights, given);
    replaceRouting(b, op, buildIndex(b, loc, indices, weights, to));
    return success();
  }
};

struct ConvertLimit : MoePattern<RoutingLimitOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(RoutingLimitOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingType type = op.getResult().getType();
    RoutingParts routing(adaptor.getRouting());
    moek::RouteOp route;
    if (op.isPlain())
      route = getRouteWithSlots(op.getRouting(), routing);
    if (route) {
      replaceRouting(b, op,
                     buildExtendedRoute(b, route, type, /*always=*/0, Value(),
                                        op.getCapacityAttr(),
                                        route.getPerExpert())
                         .getRoutingResults());
      return success();
    }
    Value priority;
    if (!adaptor.getPriority().empty())
      priority = withDynamicRows(b, loc, adaptor.getPriority().front());
    Value tokens = getDim(b, loc, routing.indices, 0);
    SmallVector<Value> outputs{
        buildEmptyRows(b, loc, tokens, type.getSlots(), b.getI32Type()),
        buildEmptyRows(b, loc, tokens, type.getSlots(), b.getF32Type())};
    auto limit = moek::LimitOp::create(
        b, loc, TypeRange(ValueRange(outputs)), routing.indices,
        routing.weights, priority, outputs,
        b.getI64IntegerAttr(type.getExperts()), op.getDropAttr(),
        op.getCapacityAttr(), op.getFactorAttr(), op.getRoundingAttr(),
        op.getMinimumAttr(), op.getGroupSizeAttr());
    replaceRouting(
        b, op,
        buildIndex(b, loc, limit.getResult(0), limit.getResult(1), type));
    return success();
  }
};

} // namespace

void moe::populateRoutingTypeConversion(TypeConverter &converter) {
  converter.addConversion(
      [](RoutingType type,
         SmallVectorImpl<Type> &types) -> std::optional<LogicalResult> {
        for (const RoutingPart &part : moek::kRoutingParts)
          types.push_back(part.getType(type.getContext(), type.getExperts(),
                                       type.getSlots()));
        return success();
      });
}

void moe::populateRoutingPatterns(const TypeConverter &converter,
                                  RewritePatternSet &patterns) {
  patterns.add<ConvertRouter, ConvertMake, ConvertTokens, ConvertNumTokens,
               ConvertAppend, ConvertLimit,
               ConvertView<RoutingIndicesOp, &RoutingParts::indices>,
               ConvertView<RoutingWeightsOp, &RoutingParts::weights>,
               ConvertView<RoutingOffsetsOp, &RoutingParts::offsets>>(
      converter, patterns.getContext());
}
