//===- ConvertExpert.cpp - moe.expert and moe.ffn -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Experts whose body is one moe.ffn become grouped matmuls; other bodies run in
// a loop over experts and blocks of rows.
//
//===----------------------------------------------------------------------===//

#include "Patterns.h"

#include "moe-mlir/Analysis/WeightUse.h"

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

//===----------------------------------------------------------------------===//
// FFNs as grouped matmuls
//===----------------------------------------------------------------------===//

namespace {
/// The weights of one range of experts as the FFN of its body names them.
struct FFNWeights {
  Value gate, up, down, gateBias, upBias, downBias;
};

/// A grouped matmul's groups.
struct Groups {
  Value offsets, active;
};
} // namespace

static Value buildGroupedMatmul(OpBuilder &b, Location loc, Value lhs,
                                Value packed, Groups groups, Value bias,
                                int64_t n) {
  Type f32 = b.getF32Type();
  int64_t k = cast<RankedTensorType>(lhs.getType()).getDimSize(1);
  Value out = buildEmptyRows(b, loc, getDim(b, loc, lhs, 0), n, f32);
  auto op = moek::GroupedMatmulOp::create(
      b, loc, TypeRange{out.getType()}, lhs, packed, groups.offsets,
      groups.active, /*gather=*/Value(), /*gather_weights=*/Value(),
      bias ? ValueRange(bias) : ValueRange(), /*positions=*/Value(),
      /*slot_weights=*/Value(), /*init=*/Value(), ValueRange{out},
      static_cast<uint64_t>(n), static_cast<uint64_t>(k), uint64_t(1),
      moek::ScheduleAttrInterface());
  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&op.getEpilogue(), {}, {f32}, {loc});
  moek::YieldOp::create(b, loc, ValueRange{block->getArgument(0)});
  return op.getResult(0);
}

/// One `[experts, N]` f32 bias of the biases of all groups, or null.
static Value buildBias(OpBuilder &b, Location loc, ArrayRef<Value> biases) {
  if (!biases.front())
    return Value();
  SmallVector<Value> parts;
  int64_t experts = 0, n = 0;
  for (Value bias : biases) {
    auto type = cast<RankedTensorType>(bias.getType());
    if (type.getRank() == 1) {
      auto expanded =
          RankedTensorType::get({1, type.getDimSize(0)}, type.getElementType());
      bias = tensor::ExpandShapeOp::create(
          b, loc, expanded, bias, ArrayRef<ReassociationIndices>{{0, 1}});
      type = expanded;
    }
    parts.push_back(convertElements(b, loc, bias, b.getF32Type()));
    experts += type.getDimSize(0);
    n = type.getDimSize(1);
  }
  if (parts.size() == 1)
    return parts.front();
  Value all = tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{experts, n},
                                      b.getF32Type());
  int64_t first = 0;
  for (Value part : parts) {
    int64_t size = cast<RankedTensorType>(part.getType()).getDimSize(0);
    all = tensor::InsertSliceOp::create(
        b, loc, part, all,
        ArrayRef<OpFoldResult>{b.getIndexAttr(first), b.getIndexAttr(0)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(size), b.getIndexAttr(n)},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1), b.getIndexAttr(1)});
    first += size;
  }
  return all;
}

/// The FFN `ffn` of all `groups` of rows; `weights` hold the consecutive ranges
/// of experts, alike in shape and presence.
static FailureOr<Value> buildFFN(OpBuilder &b, FFNOp ffn, Value rows,
                                 Groups groups, ArrayRef<FFNWeights> weights) {
  Location loc = ffn.getLoc();
  auto matmul = [&](Value lhs, Value FFNWeights::*matrix,
                    Value FFNWeights::*bias, int64_t n) {
    SmallVector<Value> matrices, biases;
    for (const FFNWeights &w : weights) {
      // moek.pack takes the matrix of one expert as it is.
      Value m = w.*matrix;
      if (auto expand = m.getDefiningOp<tensor::ExpandShapeOp>();
          expand && expand.getResultType().getDimSize(0) == 1 &&
          expand.getSrcType().getRank() == 2)
        m = expand.getSrc();
      matrices.push_back(m);
      biases.push_back(w.*bias);
    }
    Value packed = moek::PackOp::create(b, loc, ValueRange(matrices));
    return buildGroupedMatmul(b, loc, lhs, packed, groups,
                              buildBias(b, loc, biases), n);
  };
  int64_t hidden = ffn.getIntermediate();
  SmallVector<Value> inputs;
  if (ffn.isGated())
    inputs.push_back(
        matmul(rows, &FFNWeights::gate, &FFNWeights::gateBias, hidden));
  inputs.push_back(matmul(rows, &FFNWeights::up, &FFNWeights::upBias, hidden));

  Value empty =
      buildEmptyRows(b, loc, getDim(b, loc, rows, 0), hidden, b.getF32Type());
  SmallVector<AffineMap> maps(inputs.size() + 1, b.getMultiDimIdentityMap(2));
  bool built = true;
  Value h =
      linalg::GenericOp::create(
          b, loc, empty.getType(), inputs, ValueRange{empty}, maps,
          SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
          [&](OpBuilder &nb, Location nl, ValueRange args) {
            Value v = ffn.buildActivationBody(nb, nl, args.drop_back());
            if (!v) {
              built = false;
              v = args[0];
            }
            linalg::YieldOp::create(nb, nl, v);
          })
          .getResult(0);
  if (!built)
    return failure();
  return matmul(h, &FFNWeights::down, &FFNWeights::downBias,
                ffn.getOutputHidden());
}

/// The FFN that is all of the body of group `i` of `op`, and in `weights` those
/// of `groupWeights` that it takes; null and a reason in `why` otherwise.
static FFNOp matchFFNGroup(ExpertOp op, unsigned i, ValueRange groupWeights,
                           FFNWeights &weights, std::string &why) {
  Block &body = op.getGroupBody(i);
  auto ffn = dyn_cast_or_null<FFNOp>(
      body.getTerminator()->getOperand(0).getDefiningOp());
  if (!ffn || ffn->getBlock() != &body || ffn.getX() != body.getArgument(0)) {
    why = "the body does more than one moe.ffn of the expert's rows";
    return {};
  }
  if (ffn.getX().getType().getElementType().isF64() ||
      ffn.getResult().getType().getElementType().isF64()) {
    why = "rows are f64, and kernels compute in f32";
    return {};
  }
  auto resolve = [&](Value value, Value &to, StringRef name) {
    if (!value)
      return true;
    auto arg = dyn_cast<BlockArgument>(value);
    if (!arg || arg.getOwner() != &body || arg.getArgNumber() == 0) {
      why =
          ("the '" + name + "' of its moe.ffn is not one of its weights").str();
      return false;
    }
    to = groupWeights[arg.getArgNumber() - 1];
    std::string reason;
    if (name.ends_with("bias") || succeeded(WeightUse::get(to, reason)))
      return true;
    why =
        ("the '" + name + "' weight cannot be packed ahead of time: " + reason)
            .str();
    return false;
  };
  if (!resolve(ffn.getGate(), weights.gate, "gate") ||
      !resolve(ffn.getUp(), weights.up, "up") ||
      !resolve(ffn.getDown(), weights.down, "down") ||
      !resolve(ffn.getGateBias(), weights.gateBias, "gate_bias") ||
      !resolve(ffn.getUpBias(), weights.upBias, "up_bias") ||
      !resolve(ffn.getDownBias(), weights.downBias, "down_bias"))
    return {};
  // Values that only this block knows would be lost with it.
  bool captures = false;
  ffn.getBody().walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (operand.getParentBlock() == &body)
        captures = true;
  });
  if (captures) {
    why = "the activation of its moe.ffn uses values of the expert's body";
    return {};
  }
  return ffn;
}

/// Whether the matrices of `a` and `b` can be in one packed weight each.
static bool canPackTogether(const FFNWeights &a, const FFNWeights &b) {
  std::string why;
  return llvm::all_of(
      ArrayRef{&FFNWeights::gate, &FFNWeights::up, &FFNWeights::down},
      [&](Value FFNWeights::*matrix) {
        return !(a.*matrix) ||
               moe::canPackTogether({a.*matrix, b.*matrix}, why);
      });
}

/// Whether two FFNs differ in nothing but their weights.
static bool haveSameShape(FFNOp a, FFNOp b) {
  auto same = [](Value x, Value y) {
    return !x == !y && (!x || x.getType() == y.getType());
  };
  if (!same(a.getGate(), b.getGate()) || !same(a.getUp(), b.getUp()) ||
      !same(a.getDown(), b.getDown()) ||
      !same(a.getGateBias(), b.getGateBias()) ||
      !same(a.getUpBias(), b.getUpBias()) ||
      !same(a.getDownBias(), b.getDownBias()) ||
      a.getActivation() != b.getActivation() ||
      a.getBody().empty() != b.getBody().empty())
    return false;
  return a.getBody().empty() ||
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
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
    SmallVector<FFNWeights> weights(op.getNumGroups());
    SmallVector<Value> all;
    for (ValueRange weight : adaptor.getWeights())
      all.push_back(weight.front());
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
      FFNOp ffn;
    };
    SmallVector<Range> ranges;
    std::map<std::string, SmallVector<unsigned>> loops;
    for (unsigned i = 0, e = op.getNumGroups(); i < e; ++i) {
      std::string why;
      FFNOp ffn = matchFFNGroup(op, i, perGroup[i], weights[i], why);
      if (!ffn)
        loops[why].push_back(i);
      if (ffn && !ranges.empty() && ranges.back().ffn &&
          haveSameShape(ranges.back().ffn, ffn) &&
          canPackTogether(weights[ranges.back().begin], weights[i]))
        ranges.back().end = i + 1;
      else
        ranges.push_back({i, i + 1, ffn});
    }
    for (const auto &[why, which] : loops)
      remarkMissed(op, kPassName)
          << ("the experts of " + describeGroups(which) +
              " run as a loop over blocks of rows: " + why +
              "; a body that is one moe.ffn becomes grouped matmuls");

    Location loc = op.getLoc();
    Type element = op.getResult().getType().getElementType();
    Value result, wide;
    // Matmuls first: each makes a tensor of its own, loops write into one.
    for (const Range &range : ranges) {
      if (!range.ffn)
        continue;
      Groups groups{routing.offsets, routing.active};
      int64_t begin = op.getGroupBegin(range.begin);
      int64_t end = op.getGroupEnd(range.end - 1);
      if (ranges.size() > 1)
        groups = buildSubrange(b, loc, groups.offsets, begin, end);
      auto count = range.end - range.begin;
      if (!wide)
        wide = widenElements(b, loc, rows);
      FailureOr<Value> part =
          buildFFN(b, range.ffn, wide, groups,
                   ArrayRef(weights).slice(range.begin, count));
      if (failed(part))
        return failure();
      if (!result) {
        result = *part;
        continue;
      }
      // The rows of these experts, into the others'.
      Value low = buildOffset(b, loc, routing.offsets, b.getIndexAttr(begin));
      Value high = buildOffset(b, loc, routing.offsets, b.getIndexAttr(end));
      int64_t columns = op.getResult().getType().getDimSize(1);
      SmallVector<OpFoldResult> offsets{low, b.getIndexAttr(0)};
      SmallVector<OpFoldResult> sizes{
          Value(arith::SubIOp::create(b, loc, high, low)),
          b.getIndexAttr(columns)};
      SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
      Value own = tensor::ExtractSliceOp::create(b, loc, *part, offsets, sizes,
                                                 strides);
      result = tensor::InsertSliceOp::create(b, loc, own, result, offsets,
                                             sizes, strides);
    }
    if (result)
      result = convertElements(b, loc, result, element);
    else
      result = buildEmptyRows(b, loc, getDim(b, loc, rows, 0),
                              op.getResult().getType().getDimSize(1), element);
    for (const Range &range : ranges)
      if (!range.ffn)
        result = buildLoops(op, range.begin, rows, perGroup[range.begin],
                            routing.offsets, result, b);
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
                          ValueRange weights, Value allOffsets, Value result,
                          ConversionPatternRewriter &b) {
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getResult().getType());
    int64_t hidden = cast<RankedTensorType>(rows.getType()).getDimSize(1);
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
    for (auto [weight, arg] :
         llvm::zip(weights, body.getArguments().drop_front())) {
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
    Value block = tensor::ExtractSliceOp::create(b, loc, rows, offsets,
                                                 sizesOf(hidden), strides);
    args[0] = castTo(b, loc, block, body.getArgument(0).getType());
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
    FFNWeights weights{
        getSingle(adaptor.getGate()),   getSingle(adaptor.getUp()),
        getSingle(adaptor.getDown()),   getSingle(adaptor.getGateBias()),
        getSingle(adaptor.getUpBias()), getSingle(adaptor.getDownBias())};
    bool isF64 = op.getX().getType().getElementType().isF64();
    bool inKernel = !isF64 && (!weights.gate || isPackable(weights.gate)) &&
                    isPackable(weights.up) && isPackable(weights.down);
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
    FailureOr<Value> result = buildFFN(b, op, x, groups, weights);
    if (failed(result))
      return failure();
    Value rounded =
        convertElements(b, loc, *result, op.getType().getElementType());
    b.replaceOp(op, castTo(b, loc, rounded, op.getType()));
    return success();
  }
};

} // namespace

void moe::populateExpertPatterns(const TypeConverter &converter,
                                 RewritePatternSet &patterns) {
  patterns.add<ConvertExpert, ConvertFFN>(converter, patterns.getContext());
}
