//===- ConvertExpert.cpp - moe.expert and moe.ffn -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The bodies of experts become kernels on the rows of all of them; what has no
// kernel runs in a loop over experts and blocks of rows.
//
//===----------------------------------------------------------------------===//

#include "ExpertBody.h"
#include "Patterns.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moek/Codegen.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/OperationSupport.h"

#include <map>

using namespace mlir;
using namespace moe;
using moek::RoutingParts;

/// Rows that an expert's body written as IR works on at a time.
static constexpr int64_t kBlockRows = 32;

static constexpr llvm::StringLiteral kPassName = "convert-moe-to-moek";

/// The reason in `why` why the body of group `i` of `op` has no kernels.
static std::optional<ExpertBody> matchBody(ExpertOp op, unsigned i,
                                           OpBuilder &b, ValueRange weights,
                                           std::string &why) {
  FailureOr<ExpertBody> body =
      ExpertBody::get(op.getGroupBody(i), op.getWeightCounts()[i], why);
  if (failed(body) || !body->canPack(b, weights, why))
    return std::nullopt;
  return *body;
}

/// Who makes the functions of the kernels of group `i`, a range of experts; null if
/// the layer does not say.
static StringAttr getCodegen(ExpertOp op, unsigned i) {
  Attribute codegen = op->getAttr(moek::kCodegenAttrName);
  if (auto each = dyn_cast_or_null<ArrayAttr>(codegen))
    codegen = each[i];
  auto name = cast_or_null<StringAttr>(codegen);
  return name && !name.empty() ? name : StringAttr();
}

/// Whether the layer says so of all of its ranges, or of each.
static LogicalResult checkCodegen(ExpertOp op) {
  Attribute codegen = op->getAttr(moek::kCodegenAttrName);
  auto each = dyn_cast_or_null<ArrayAttr>(codegen);
  if (!codegen || isa<StringAttr>(codegen) ||
      (each && each.size() == op.getNumGroups() &&
       llvm::all_of(each, llvm::IsaPred<StringAttr>)))
    return success();
  return op.emitOpError() << moek::kCodegenAttrName << " is " << codegen
                          << "; expected a name, or one for each of the "
                          << op.getNumGroups() << " ranges of experts";
}

/// For each weight of group `one` that of group `other` which its body uses
/// alike, if the bodies differ in nothing else.
static std::optional<SmallVector<unsigned>>
matchWeights(ExpertOp op, unsigned one, unsigned other) {
  Block &a = op.getGroupBody(one), &b = op.getGroupBody(other);
  IRMapping same;
  same.map(a.getArgument(0), b.getArgument(0));
  same.map(op.getOtherArguments(one), op.getOtherArguments(other));
  auto check = [&](Value x, Value y) {
    if (Value known = same.lookupOrNull(x))
      return success(known == y);
    auto own = dyn_cast<BlockArgument>(x), its = dyn_cast<BlockArgument>(y);
    if (!own || own.getOwner() != &a)
      return success(x == y);
    if (!its || its.getOwner() != &b ||
        !llvm::is_contained(op.getWeightArguments(other), its) ||
        own.getType() != its.getType())
      return failure();
    same.map(x, y);
    return success();
  };
  if (a.getArgument(0).getType() != b.getArgument(0).getType() ||
      a.getOperations().size() != b.getOperations().size())
    return std::nullopt;
  for (auto [x, y] : llvm::zip(a, b)) {
    if (!OperationEquivalence::isEquivalentTo(
            &x, &y, check, [&](Value v, Value w) { same.map(v, w); },
            OperationEquivalence::IgnoreLocations))
      return std::nullopt;
    same.map(x.getResults(), y.getResults());
  }
  SmallVector<unsigned> weights;
  for (Value argument : op.getWeightArguments(one)) {
    auto its = dyn_cast_or_null<BlockArgument>(same.lookupOrNull(argument));
    // What no body reads may be any.
    if (!its && (!argument.use_empty() || op.getWeightArguments(other).empty()))
      return std::nullopt;
    weights.push_back(its ? its.getArgNumber() - 1 : 0);
  }
  return weights;
}

static Operation *findOnlyKernel(Block &body) {
  for (Operation &op : body)
    if (isOnlyKernel(&op))
      return &op;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {

struct ConvertExpert : MoePattern<ExpertOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(ExpertOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    RoutingParts routing(adaptor.getRouting());
    Value rows = adaptor.getRows().front();
    SmallVector<Value> all, others;
    for (ValueRange weight : adaptor.getWeights())
      all.push_back(weight.front());
    for (ValueRange other : adaptor.getOthers())
      others.push_back(other.front());
    SmallVector<ValueRange> perGroup;
    ValueRange rest(all);
    for (int64_t count : op.getWeightCounts()) {
      perGroup.push_back(rest.take_front(count));
      rest = rest.drop_front(count);
    }
    // Consecutive groups that differ in nothing but their weights are one range
    // of experts.
    struct Range {
      unsigned begin, end;
      std::optional<ExpertBody> body;
      SmallVector<SmallVector<Value>> weights;
    };
    if (failed(checkCodegen(op)))
      return failure();
    SmallVector<Range> ranges;
    std::map<std::string, SmallVector<unsigned>> loops;
    for (unsigned i = 0, e = op.getNumGroups(); i < e; ++i) {
      std::string why;
      std::optional<ExpertBody> body = matchBody(op, i, b, perGroup[i], why);
      if (!body) {
        if (Operation *kernel = findOnlyKernel(op.getGroupBody(i)))
          return kernel->emitOpError() << "has no kernels: " << why;
        loops[why].push_back(i);
      }
      if (body && !body->isOfOneRange() && !ranges.empty() &&
          ranges.back().body &&
          getCodegen(op, ranges.back().begin) == getCodegen(op, i)) {
        Range &last = ranges.back();
        if (auto order = matchWeights(op, last.begin, i)) {
          SmallVector<Value> own;
          for (unsigned weight : *order)
            own.push_back(perGroup[i][weight]);
          if (last.body->canPackTogether(b, last.weights.front(), own)) {
            last.end = i + 1;
            last.weights.push_back(own);
            continue;
          }
        }
      }
      ranges.push_back(
          {i, i + 1, std::move(body), {SmallVector<Value>(perGroup[i])}});
    }
    for (const auto &[why, which] : loops)
      remarkMissed(op, kPassName)
          << ("the experts of " + describeGroups(which) +
              " run as a loop over blocks of rows: " + why +
              "; matmuls with weights that are known ahead of time, and what "
              "is a function of each row, become kernels");

    Location loc = op.getLoc();
    Type element = op.getResult().getType().getElementType();
    Value numRows = getDim(b, loc, rows, 0);
    Value result;
    SmallVector<Value> wide;
    // Kernels first: all write into one tensor in f32.
    for (const Range &range : ranges) {
      if (!range.body)
        continue;
      Groups groups{routing.offsets, routing.active};
      if (ranges.size() > 1)
        groups =
            buildSubrange(b, loc, groups.offsets, op.getGroupBegin(range.begin),
                          op.getGroupEnd(range.end - 1));
      if (wide.empty()) {
        wide.push_back(widenElements(b, loc, rows));
        for (Value other : others)
          wide.push_back(isa<FloatType>(getElementTypeOrSelf(other.getType()))
                             ? widenElements(b, loc, other)
                             : other);
      }
      result =
          range.body->build({b, groups, numRows, result,
                             op.getGroupBegin(range.begin),
                             getCodegen(op, range.begin)},
                            wide, range.weights);
      if (!result)
        return failure();
    }
    if (result)
      result = convertElements(b, loc, result, element);
    else
      result = buildEmptyRows(b, loc, numRows,
                              op.getResult().getType().getDimSize(1), element);
    for (const Range &range : ranges)
      if (!range.body)
        result = buildLoops(op, range.begin, rows, perGroup[range.begin],
                            others, routing.offsets, result, b);
    b.replaceOp(op, castTo(b, loc, result, op.getType()));
    return success();
  }

  /// "group 1", or "3 groups (1, 4 .. 5)"; `which` ascend.
  static std::string describeGroups(ArrayRef<unsigned> which) {
    if (which.size() == 1)
      return "group " + std::to_string(which.front());
    std::string list;
    for (size_t i = 0, end; i < which.size(); i = end) {
      for (end = i + 1; end < which.size() && which[end] == which[end - 1] + 1;)
        ++end;
      list += (i ? ", " : "") + std::to_string(which[i]);
      if (end > i + 1)
        list += " .. " + std::to_string(which[end - 1]);
    }
    return std::to_string(which.size()) + " groups (" + list + ")";
  }

  /// The groups of the experts `[begin, end)` alone.
  static Groups buildSubrange(OpBuilder &b, Location loc, Value offsets,
                              int64_t begin, int64_t end) {
    int64_t count = end - begin;
    Value own = tensor::ExtractSliceOp::create(
        b, loc, offsets, ArrayRef<OpFoldResult>{b.getIndexAttr(begin)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(count + 1)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
    auto index = [&](int64_t v) -> Value {
      return arith::ConstantIndexOp::create(b, loc, v);
    };
    Type i32 = b.getI32Type();
    Value zero = index(0), one = index(1), last = index(count);
    Value active =
        tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{count + 1}, i32);
    auto loop =
        scf::ForOp::create(b, loc, zero, last, one, ValueRange{active, zero});
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(loop.getBody());
      Value expert = loop.getInductionVar();
      Value list = loop.getRegionIterArg(0), used = loop.getRegionIterArg(1);
      Value next = arith::AddIOp::create(b, loc, expert, one);
      Value low = tensor::ExtractOp::create(b, loc, own, expert);
      Value high = tensor::ExtractOp::create(b, loc, own, next);
      Value some =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, low, high);
      // An expert without rows is overwritten by the next.
      Value id = arith::IndexCastOp::create(b, loc, i32, expert);
      list = tensor::InsertOp::create(b, loc, id, list, used);
      Value step = arith::SelectOp::create(b, loc, some, one, zero);
      used = arith::AddIOp::create(b, loc, used, step);
      scf::YieldOp::create(b, loc, ValueRange{list, used});
    }
    Value number = arith::IndexCastOp::create(b, loc, i32, loop.getResult(1));
    active = tensor::InsertOp::create(b, loc, number, loop.getResult(0), last);
    return {own, active};
  }

  /// A loop over the experts of group `g`, and in it over blocks of rows, with
  /// the group's body inlined. Writes into `result`.
  static Value buildLoops(ExpertOp op, unsigned g, Value rows,
                          ValueRange weights, ValueRange others,
                          Value allOffsets, Value result,
                          ConversionPatternRewriter &b) {
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getResult().getType());
    auto index = [&](int64_t v) -> Value {
      return arith::ConstantIndexOp::create(b, loc, v);
    };
    Value one = index(1), step = index(kBlockRows);
    OpFoldResult zeroAttr = b.getIndexAttr(0), oneAttr = b.getIndexAttr(1);
    OpBuilder::InsertionGuard guard(b);
    Value begin = index(op.getGroupBegin(g)), end = index(op.getGroupEnd(g));
    auto experts = scf::ForOp::create(b, loc, begin, end, one, result);
    experts->setAttr(kExpertLoopAttrName, b.getUnitAttr());
    b.setInsertionPointToStart(experts.getBody());
    Value expert = experts.getInductionVar();
    Value low = buildOffset(b, loc, allOffsets, OpFoldResult(expert));
    Value next = arith::AddIOp::create(b, loc, expert, one);
    Value high = buildOffset(b, loc, allOffsets, OpFoldResult(next));
    Value local = arith::SubIOp::create(b, loc, expert, begin);

    SmallVector<Value> args{Value()};
    Block &body = op.getGroupBody(g);
    for (auto [weight, arg] : llvm::zip(weights, op.getWeightArguments(g))) {
      auto weightType = cast<RankedTensorType>(weight.getType());
      SmallVector<OpFoldResult> offsets(weightType.getRank(), zeroAttr);
      SmallVector<OpFoldResult> strides(weightType.getRank(), oneAttr);
      SmallVector<OpFoldResult> sizes{oneAttr};
      offsets[0] = local;
      for (int64_t d = 1; d < weightType.getRank(); ++d)
        sizes.push_back(
            weightType.isDynamicDim(d)
                ? OpFoldResult(getDim(b, loc, weight, d))
                : OpFoldResult(b.getIndexAttr(weightType.getDimSize(d))));
      args.push_back(tensor::ExtractSliceOp::create(
          b, loc, cast<RankedTensorType>(arg.getType()), weight, offsets, sizes,
          strides));
    }

    auto blocks = scf::ForOp::create(b, loc, low, high, step,
                                     experts.getRegionIterArg(0));
    scf::YieldOp::create(b, loc, blocks.getResult(0));
    b.setInsertionPointToStart(blocks.getBody());
    Value row = blocks.getInductionVar();
    // affine.min tells bufferization how large a temporary can get.
    AffineExpr d0 = b.getAffineDimExpr(0), d1 = b.getAffineDimExpr(1);
    Value size = affine::AffineMinOp::create(
        b, loc,
        AffineMap::get(2, 0, {b.getAffineConstantExpr(kBlockRows), d0 - d1},
                       b.getContext()),
        ValueRange{high, row});
    SmallVector<OpFoldResult> offsets{row, zeroAttr};
    SmallVector<OpFoldResult> strides{oneAttr, oneAttr};
    auto sizesOf = [&](int64_t columns) {
      return SmallVector<OpFoldResult>{size, b.getIndexAttr(columns)};
    };
    auto takeBlock = [&](Value all, Value argument) {
      int64_t columns = cast<RankedTensorType>(all.getType()).getDimSize(1);
      Value block = tensor::ExtractSliceOp::create(b, loc, all, offsets,
                                                   sizesOf(columns), strides);
      return castTo(b, loc, block, argument.getType());
    };
    args[0] = takeBlock(rows, body.getArgument(0));
    for (auto [other, argument] : llvm::zip(others, op.getOtherArguments(g)))
      args.push_back(takeBlock(other, argument));
    Value merged = blocks.getRegionIterArg(0);
    auto yield = cast<YieldOp>(body.getTerminator());
    Value yielded = yield.getOperands().front();
    if (auto arg = dyn_cast<BlockArgument>(yielded);
        arg && arg.getOwner() == &body)
      yielded = args[arg.getArgNumber()];
    b.inlineBlockBefore(&body, blocks.getBody(), blocks.getBody()->end(), args);
    b.setInsertionPointToEnd(blocks.getBody());
    Value part =
        castTo(b, loc, yielded,
               RankedTensorType::get({ShapedType::kDynamic, type.getDimSize(1)},
                                     type.getElementType()));
    Value inserted = tensor::InsertSliceOp::create(
        b, loc, part, merged, offsets, sizesOf(type.getDimSize(1)), strides);
    b.eraseOp(yield);
    scf::YieldOp::create(b, loc, inserted);
    return experts.getResult(0);
  }
};

struct ConvertFFN : MoePattern<FFNOp> {
  using MoePattern::MoePattern;
  LogicalResult matchAndRewrite(FFNOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    // Packing weights at run time would cost more than it gains.
    std::string why;
    auto isPackable = [&](Value weight) {
      return succeeded(WeightUse::get(weight, why));
    };
    // The op's own operands may be arguments of blocks that are gone already.
    IRMapping now;
    for (auto [own, converted] : llvm::zip(op->getOperands(), adaptor.getOperands()))
      now.map(own, converted.front());
    bool isF64 = op.getX().getType().getElementType().isF64();
    bool inKernel = !isF64;
    for (Value matrix : {op.getGate(), op.getUp(), op.getDown()})
      inKernel = inKernel && (!matrix || isPackable(now.lookup(matrix)));
    if (!inKernel) {
      if (!isOnlyForExpertLoops(op))
        remarkMissed(op, kPassName)
            << (isF64 ? "no kernel computes it: rows are f64, and kernels "
                        "compute in f32"
                      : "a weight cannot be packed ahead of time: " + why +
                            "; arguments of the function and constants can");
      FailureOr<SmallVector<Value>> values = op.generalize(b);
      if (failed(values))
        return failure();
      b.replaceOp(op, *values);
      return success();
    }
    // A dense FFN is a layer of one expert that has every row.
    Value x = withDynamicRows(
        b, loc,
        convertElements(b, loc, adaptor.getX().front(), b.getF32Type()));
    Type i32 = b.getI32Type();
    Value count = arith::IndexCastOp::create(b, loc, i32, getDim(b, loc, x, 0));
    auto constant = [&](int64_t v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
    };
    Value zero = constant(0), one = constant(1);
    Value any = arith::MinSIOp::create(b, loc, count, one);
    auto build = [&](ValueRange values) -> Value {
      return tensor::FromElementsOp::create(b, loc, values);
    };
    Groups groups{build({zero, count}), build({zero, any})};
    Value numRows = getDim(b, loc, x, 0);
    Value result =
        buildFFN({b, groups, numRows, Value()}, op, x, [&](Value weight) {
          Value own = now.lookup(weight);
          auto type = cast<RankedTensorType>(own.getType());
          // A bias of one expert.
          if (type.getRank() == 1)
            own = tensor::ExpandShapeOp::create(
                b, loc, type.clone({1, type.getDimSize(0)}), own,
                ArrayRef<ReassociationIndices>{{0, 1}});
          return SmallVector<Value>{own};
        });
    if (!result)
      return failure();
    Value rounded =
        convertElements(b, loc, result, op.getType().getElementType());
    b.replaceOp(op, castTo(b, loc, rounded, op.getType()));
    return success();
  }
};

} // namespace

void moe::populateExpertPatterns(const TypeConverter &converter,
                                 RewritePatternSet &patterns) {
  patterns.add<ConvertExpert, ConvertFFN>(converter, patterns.getContext());
}
