//===- ConvertMoeToMoek.cpp - One kernel per moe op ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Converts `moe` to `moek` without any fusion: what comes out is correct, and
// the fusion passes only ever merge neighbours. A value of type !moe.routing
// becomes seven tensors (1:N conversion), so routings may also cross calls and
// structured control flow.
//
//===----------------------------------------------------------------------===//

#include "BatchPolicies.h"
#include "Common.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Func/Transforms/FuncConversions.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/RegionUtils.h"
#include <map>

namespace moe {
#define GEN_PASS_DEF_CONVERTMOETOMOEK
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

/// Rows that an expert's body written as IR works on at a time.
static constexpr int64_t kBlockRows = 32;

static constexpr llvm::StringLiteral kPassName = "convert-moe-to-moek";

//===----------------------------------------------------------------------===//
// Routing tensors
//===----------------------------------------------------------------------===//

namespace {
/// Indices into the seven values of a routing.
enum RoutingPart : unsigned {
  kIndices,
  kWeights,
  kOffsets,
  kActive,
  kTokens,
  kPositions,
  kRowWeights,
  kNumParts
};
} // namespace

static SmallVector<Type> getRoutingTypes(RoutingType type) {
  MLIRContext *ctx = type.getContext();
  Type i32 = IntegerType::get(ctx, 32), f32 = Float32Type::get(ctx);
  int64_t dyn = ShapedType::kDynamic;
  int64_t experts = type.getExperts(), slots = type.getSlots();
  return {RankedTensorType::get({dyn, slots}, i32),
          RankedTensorType::get({dyn, slots}, f32),
          RankedTensorType::get({experts + 1}, i32),
          RankedTensorType::get({experts + 1}, i32),
          RankedTensorType::get({dyn}, i32),
          RankedTensorType::get({dyn, slots}, i32),
          RankedTensorType::get({dyn}, f32)};
}

/// Entries that packing a mask may write beyond its last list.
static constexpr int64_t kMaskPadding = 64;

/// Empty tensors for the parts of a routing from `first` on. `padding` is room
/// in its lists beyond T * K.
static SmallVector<Value> buildRoutingOutputs(OpBuilder &b, Location loc,
                                              Value tokens, RoutingType type,
                                              unsigned first,
                                              int64_t padding = 0) {
  SmallVector<Value> outputs;
  Value slots = arith::ConstantIndexOp::create(b, loc, type.getSlots());
  Value assignments = arith::MulIOp::create(b, loc, tokens, slots);
  if (padding != 0)
    assignments = arith::AddIOp::create(
        b, loc, assignments, arith::ConstantIndexOp::create(b, loc, padding));
  for (auto [i, partType] : llvm::enumerate(getRoutingTypes(type))) {
    if (i < first)
      continue;
    SmallVector<Value> sizes;
    auto tensorType = cast<RankedTensorType>(partType);
    if (tensorType.isDynamicDim(0))
      sizes.push_back(i == kTokens || i == kRowWeights ? assignments : tokens);
    outputs.push_back(tensor::EmptyOp::create(b, loc, tensorType, sizes));
  }
  return outputs;
}

SmallVector<Value> moe::buildIndex(OpBuilder &b, Location loc, Value indices,
                                   Value weights, RoutingType type) {
  Value tokens = getDim(b, loc, indices, 0);
  SmallVector<Value> outputs =
      buildRoutingOutputs(b, loc, tokens, type, kOffsets);
  auto index =
      moek::IndexOp::create(b, loc, TypeRange(ValueRange(outputs)), indices,
                            weights, outputs, type.getExperts());
  SmallVector<Value> parts{indices, weights};
  llvm::append_range(parts, index.getResults());
  return parts;
}

//===----------------------------------------------------------------------===//
// Tensor helpers
//===----------------------------------------------------------------------===//

static Value castTo(OpBuilder &b, Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(b, loc, type, value);
}

Value moe::withDynamicRows(OpBuilder &b, Location loc, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = ShapedType::kDynamic;
  return castTo(b, loc, value, type.clone(shape));
}

/// `value` with its elements rounded or extended to the float type `element`.
static Value convertElements(OpBuilder &b, Location loc, Value value,
                             Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType() == element)
    return value;
  SmallVector<Value> sizes;
  for (int64_t d = 0; d < type.getRank(); ++d)
    if (type.isDynamicDim(d))
      sizes.push_back(getDim(b, loc, value, d));
  Value empty =
      tensor::EmptyOp::create(b, loc, type.getShape(), element, sizes);
  AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
  bool widen = element.getIntOrFloatBitWidth() >
               type.getElementType().getIntOrFloatBitWidth();
  // bf16 and f16 have the same width and no direct conversion.
  return linalg::GenericOp::create(
             b, loc, empty.getType(), ValueRange{value}, ValueRange{empty},
             ArrayRef<AffineMap>{identity, identity},
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               Value v = widen
                             ? arith::ExtFOp::create(nb, nl, element, args[0])
                                   .getResult()
                             : arith::TruncFOp::create(nb, nl, element, args[0])
                                   .getResult();
               linalg::YieldOp::create(nb, nl, v);
             })
      .getResult(0);
}

/// Entry `at` of `list` as an index.
static Value buildOffset(OpBuilder &b, Location loc, Value list,
                         OpFoldResult at) {
  Value index = getValueOrCreateConstantIndexOp(b, loc, at);
  Value offset = tensor::ExtractOp::create(b, loc, list, index);
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), offset);
}
static Value buildOffset(OpBuilder &b, Location loc, Value list, int64_t at) {
  return buildOffset(b, loc, list, OpFoldResult(b.getIndexAttr(at)));
}

/// `value` in f32: what it was before it was rounded to 16 bits, if it is rows
/// that a kernel moved or made. A layer in bf16 then has the kernels of one in
/// f32, and rounds its result.
static Value widenElements(OpBuilder &b, Location loc, Value value) {
  Value source = value;
  while (auto cast = source.getDefiningOp<tensor::CastOp>())
    source = cast.getSource();
  auto rounding = source.getDefiningOp<linalg::GenericOp>();
  if (rounding && rounding.getNumDpsInputs() == 1 &&
      isa<arith::TruncFOp>(rounding.getBody()->front())) {
    Value wide = rounding.getInputs().front();
    auto gather = wide.getDefiningOp<moek::GatherOp>();
    if ((gather && !gather.getRowWeights()) ||
        wide.getDefiningOp<moek::GroupedMatmulOp>())
      return wide;
  }
  return convertElements(b, loc, value, b.getF32Type());
}

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
      moek::ScheduleAttr());
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
    Value packed = buildPack(b, loc, matrices, /*interleaved=*/false);
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
// Patterns: the layer
//===----------------------------------------------------------------------===//

namespace {

/// Patterns in this file see values of type !moe.routing as seven values, all
/// others as one.
template <typename OpTy> struct Pattern : OpConversionPattern<OpTy> {
  using OpConversionPattern<OpTy>::OpConversionPattern;
  using Adaptor = typename OpConversionPattern<OpTy>::OneToNOpAdaptor;

  /// Replaces the only result, a routing.
  static void replaceRouting(ConversionPatternRewriter &rewriter, Operation *op,
                             ValueRange parts) {
    rewriter.replaceOpWithMultiple(op, ArrayRef<ValueRange>{parts});
  }
};

struct ConvertRouter : Pattern<RouterOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(RouterOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    SelectionPolicyAttrInterface policy = op.getPolicy();
    if (policy.seesAllTokens())
      return failure();
    auto single = [](ValueRange range) {
      return range.empty() ? Value() : Value(range.front());
    };
    Value select = single(adaptor.getSelect());
    Value weigh = single(adaptor.getWeigh());
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
    if (auto hash = dyn_cast<HashAttr>(Attribute(policy)))
      buildHashChecks(b, loc, hash, operands, type.getExperts());
    Value tokens = getDim(b, loc, op.getTokensOperand(), 0);
    SmallVector<Value> outputs =
        buildRoutingOutputs(b, loc, tokens, type, kIndices,
                            policy.selectsByMask() ? kMaskPadding : 0);
    auto route = moek::RouteOp::create(
        b, loc, TypeRange(ValueRange(outputs)), /*x=*/Value(),
        /*router=*/Value(), rows, /*columns=*/ValueRange(),
        /*vectors=*/ValueRange(), /*scalars=*/ValueRange(), operands,
        /*always_weights=*/Value(), outputs, policy,
        static_cast<uint64_t>(type.getExperts()), /*always=*/uint64_t(0),
        /*capacity=*/IntegerAttr(), moek::ScheduleAttr(), moek::PackByAttr());
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
    replaceRouting(b, op, route.getResults());
    return success();
  }
};

/// Elementwise `body` over `result`, which it gets with its iteration.
Value buildGeneric(OpBuilder &b, Location loc, ValueRange inputs, Value result,
                   ArrayRef<AffineMap> maps,
                   ArrayRef<utils::IteratorType> iterators,
                   function_ref<Value(OpBuilder &, ValueRange)> body) {
  return linalg::GenericOp::create(
             b, loc, TypeRange(result.getType()), inputs, ValueRange(result),
             maps, iterators,
             [&](OpBuilder &nested, Location at, ValueRange args) {
               linalg::YieldOp::create(nested, at, body(nested, args));
             })
      .getResult(0);
}

struct ConvertDispatch : Pattern<DispatchOp> {
  using Pattern::Pattern;

  /// Kernels move f32; the rows of f64 keep their bits.
  static Value gatherDoubles(OpBuilder &b, DispatchOp op, Value x,
                             ValueRange routing) {
    Location loc = op.getLoc();
    Type f64 = b.getF64Type();
    int64_t hidden = op.getX().getType().getDimSize(1);
    Value rows = getDim(b, loc, routing[kTokens], 0);
    Value out = buildEmptyRows(b, loc, rows, hidden, f64);
    // The list has room for every slot; entries beyond the last are no tokens.
    Value used = buildOffset(b, loc, routing[kOffsets],
                             op.getRouting().getType().getExperts());
    return buildGeneric(
        b, loc, ValueRange(), out, b.getMultiDimIdentityMap(2),
        {utils::IteratorType::parallel, utils::IteratorType::parallel},
        [&](OpBuilder &nested, ValueRange) {
          Value row = linalg::IndexOp::create(nested, loc, 0);
          Value column = linalg::IndexOp::create(nested, loc, 1);
          Value exists = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::slt, row, used);
          auto branch = scf::IfOp::create(
              nested, loc, exists,
              [&](OpBuilder &then, Location) {
                Value token = buildOffset(then, loc, routing[kTokens], row);
                Value value = tensor::ExtractOp::create(
                    then, loc, x, ValueRange{token, column});
                if (op.getWeighted()) {
                  Value weight = tensor::ExtractOp::create(
                      then, loc, routing[kRowWeights], row);
                  weight = arith::ExtFOp::create(then, loc, f64, weight);
                  value = arith::MulFOp::create(then, loc, value, weight);
                }
                scf::YieldOp::create(then, loc, value);
              },
              [&](OpBuilder &other, Location) {
                Value zero = arith::ConstantOp::create(
                    other, loc, other.getF64FloatAttr(0.0));
                scf::YieldOp::create(other, loc, zero);
              });
          return branch.getResult(0);
        });
  }

  LogicalResult matchAndRewrite(DispatchOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    ValueRange routing = adaptor.getRouting();
    if (op.getX().getType().getElementType().isF64()) {
      Value rows = gatherDoubles(b, op, adaptor.getX().front(), routing);
      b.replaceOp(op, castTo(b, loc, rows, op.getRows().getType()));
      return success();
    }
    Value x = convertElements(b, loc, adaptor.getX().front(), b.getF32Type());
    int64_t hidden = op.getX().getType().getDimSize(1);
    Value rows = getDim(b, loc, routing[kTokens], 0);
    Value out = buildEmptyRows(b, loc, rows, hidden, b.getF32Type());
    Value gathered =
        moek::GatherOp::create(
            b, loc, TypeRange{out.getType()}, x, routing[kTokens],
            routing[kOffsets],
            op.getWeighted() ? routing[kRowWeights] : Value(), ValueRange{out})
            .getResult(0);
    auto type = op.getRows().getType();
    gathered = convertElements(b, loc, gathered, type.getElementType());
    b.replaceOp(op, castTo(b, loc, gathered, type));
    return success();
  }
};

struct ConvertCombine : Pattern<CombineOp> {
  using Pattern::Pattern;

  /// The sum of each token's rows in f64, in the order of its slots.
  static Value combineDoubles(OpBuilder &b, CombineOp op, Value rows,
                              Value init, ValueRange routing) {
    Location loc = op.getLoc();
    Type f64 = b.getF64Type();
    int64_t hidden =
        cast<RankedTensorType>(op.getResult().getType()).getDimSize(1);
    Value sum = init;
    if (!sum) {
      Value tokens = getDim(b, loc, routing[kPositions], 0);
      Value zero = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(0.0));
      sum = linalg::FillOp::create(b, loc, zero,
                                   buildEmptyRows(b, loc, tokens, hidden, f64))
                .getResult(0);
    }
    AffineExpr t = b.getAffineDimExpr(0), h = b.getAffineDimExpr(1),
               k = b.getAffineDimExpr(2);
    AffineMap slots = AffineMap::get(3, 0, {t, k}, b.getContext());
    AffineMap out = AffineMap::get(3, 0, {t, h}, b.getContext());
    return buildGeneric(
        b, loc, ValueRange{routing[kPositions], routing[kWeights]}, sum,
        {slots, slots, out},
        {utils::IteratorType::parallel, utils::IteratorType::parallel,
         utils::IteratorType::reduction},
        [&](OpBuilder &nested, ValueRange args) {
          Value column = linalg::IndexOp::create(nested, loc, 1);
          Value zero = arith::ConstantOp::create(nested, loc,
                                                 nested.getI32IntegerAttr(0));
          Value used = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::sge, args[0], zero);
          auto branch = scf::IfOp::create(
              nested, loc, used,
              [&](OpBuilder &then, Location) {
                Value row = arith::IndexCastOp::create(
                    then, loc, then.getIndexType(), args[0]);
                Value value = tensor::ExtractOp::create(
                    then, loc, rows, ValueRange{row, column});
                if (!op.getUnweighted()) {
                  Value weight = arith::ExtFOp::create(then, loc, f64, args[1]);
                  value = arith::MulFOp::create(then, loc, weight, value);
                }
                value = arith::AddFOp::create(then, loc, args[2], value);
                scf::YieldOp::create(then, loc, value);
              },
              [&](OpBuilder &other, Location) {
                scf::YieldOp::create(other, loc, args[2]);
              });
          return branch.getResult(0);
        });
  }

  LogicalResult matchAndRewrite(CombineOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    Type f32 = b.getF32Type();
    ValueRange routing = adaptor.getRouting();
    if (getElementTypeOrSelf(op.getResult().getType()).isF64()) {
      Value init;
      if (!adaptor.getInit().empty())
        init = withDynamicRows(b, loc, adaptor.getInit().front());
      Value sum =
          combineDoubles(b, op, adaptor.getRows().front(), init, routing);
      b.replaceOp(op, castTo(b, loc, sum, op.getResult().getType()));
      return success();
    }
    Value rows = widenElements(b, loc, adaptor.getRows().front());
    Value init;
    if (!adaptor.getInit().empty())
      init = withDynamicRows(
          b, loc, convertElements(b, loc, adaptor.getInit().front(), f32));
    auto type = cast<RankedTensorType>(op.getResult().getType());
    Value tokens = getDim(b, loc, routing[kPositions], 0);
    Value out = buildEmptyRows(b, loc, tokens, type.getDimSize(1), f32);
    Value sum = moek::CombineOp::create(
                    b, loc, TypeRange{out.getType()}, rows, routing[kPositions],
                    op.getUnweighted() ? Value() : routing[kWeights], init,
                    ValueRange{out})
                    .getResult(0);
    sum = convertElements(b, loc, sum, type.getElementType());
    b.replaceOp(op, castTo(b, loc, sum, type));
    return success();
  }
};

struct ConvertExpert : Pattern<ExpertOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(ExpertOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    ValueRange routing = adaptor.getRouting();
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
      Groups groups{routing[kOffsets], routing[kActive]};
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
      Value low = buildOffset(b, loc, routing[kOffsets], begin);
      Value high = buildOffset(b, loc, routing[kOffsets], end);
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
                            routing[kOffsets], result, b);
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

struct ConvertFFN : Pattern<FFNOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(FFNOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    // Packing weights at run time would cost more than it gains.
    std::string why;
    auto isPackable = [&](Value weight) {
      return succeeded(WeightUse::get(weight, why));
    };
    // The op's own operands may be arguments of blocks that are gone already.
    auto single = [](auto &&range) {
      return range.empty() ? Value() : Value(range.front());
    };
    FFNWeights weights{
        single(adaptor.getGate()),   single(adaptor.getUp()),
        single(adaptor.getDown()),   single(adaptor.getGateBias()),
        single(adaptor.getUpBias()), single(adaptor.getDownBias())};
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

//===----------------------------------------------------------------------===//
// Patterns: routings
//===----------------------------------------------------------------------===//

struct ConvertMake : Pattern<RoutingMakeOp> {
  using Pattern::Pattern;
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
template <typename OpTy, unsigned part> struct ConvertView : Pattern<OpTy> {
  using Pattern<OpTy>::Pattern;
  LogicalResult matchAndRewrite(OpTy op,
                                typename Pattern<OpTy>::Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    auto type = cast<RankedTensorType>(op.getResult().getType());
    Value value = adaptor.getRouting()[part];
    if (isa<FloatType>(type.getElementType()))
      value = convertElements(b, op.getLoc(), value, type.getElementType());
    b.replaceOp(op, castTo(b, op.getLoc(), value, type));
    return success();
  }
};

struct ConvertTokens : Pattern<RoutingTokensOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(RoutingTokensOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    // The tensor has room for every slot; only the used part is the value.
    int64_t experts = op.getRouting().getType().getExperts();
    Value last = arith::ConstantIndexOp::create(b, loc, experts);
    Value size =
        tensor::ExtractOp::create(b, loc, adaptor.getRouting()[kOffsets], last);
    size = arith::IndexCastOp::create(b, loc, b.getIndexType(), size);
    Value tokens = tensor::ExtractSliceOp::create(
        b, loc, adaptor.getRouting()[kTokens],
        ArrayRef<OpFoldResult>{b.getIndexAttr(0)}, ArrayRef<OpFoldResult>{size},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
    b.replaceOp(op, castTo(b, loc, tokens, op.getResult().getType()));
    return success();
  }
};

struct ConvertNumTokens : Pattern<RoutingNumTokensOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(RoutingNumTokensOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    b.replaceOp(op, getDim(b, op.getLoc(), adaptor.getRouting()[kIndices], 0));
    return success();
  }
};

/// The moek.route that made `routing`, if nothing but its user needs it as it
/// is and it neither limits nor appends yet.
moek::RouteOp getExtensibleRoute(Value routing, ValueRange parts) {
  auto router = routing.getDefiningOp<RouterOp>();
  if (!router || !routing.hasOneUse())
    return {};
  auto route = parts[kIndices].getDefiningOp<moek::RouteOp>();
  // A mask has its lists packed without slots.
  if (!route || route.getAlways() != 0 || route.getCapacity() ||
      route.getPolicy().selectsByMask())
    return {};
  return route;
}

/// A copy of `route` at the insertion point that makes a routing of `type`. The
/// old one is left without users.
SmallVector<Value> buildExtendedRoute(OpBuilder &b, moek::RouteOp route,
                                      RoutingType type, int64_t always,
                                      Value alwaysWeights,
                                      IntegerAttr capacity) {
  Location loc = route.getLoc();
  Value tokens = getDim(b, loc, route.getOutputs()[kIndices], 0);
  SmallVector<Value> outputs =
      buildRoutingOutputs(b, loc, tokens, type, kIndices);
  auto extended = moek::RouteOp::create(
      b, loc, TypeRange(ValueRange(outputs)), route.getX(), route.getRouter(),
      route.getRows(), route.getColumns(), route.getVectors(),
      route.getScalars(), route.getPolicyOperands(), alwaysWeights, outputs,
      route.getPolicy(), route.getExperts(), static_cast<uint64_t>(always),
      capacity, route.getScheduleAttr(), route.getPackByAttr());
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
  return SmallVector<Value>(extended.getResults());
}

} // namespace

namespace {

struct ConvertAppend : Pattern<RoutingAppendOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(RoutingAppendOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingType from = op.getRouting().getType();
    RoutingType to = op.getResult().getType();
    int64_t appended = op.getNumAppended();
    ValueRange routing = adaptor.getRouting();
    Value given;
    if (!adaptor.getWeights().empty())
      given =
          withDynamicRows(b, loc,
                          convertElements(b, loc, adaptor.getWeights().front(),
                                          b.getF32Type()));
    if (moek::RouteOp route = getExtensibleRoute(op.getRouting(), routing)) {
      replaceRouting(
          b, op,
          buildExtendedRoute(b, route, to, appended, given, IntegerAttr()));
      return success();
    }
    Value tokens = getDim(b, loc, routing[kIndices], 0);
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
    Value indices = widen(routing[kIndices], idColumns);
    Value weights = widen(routing[kWeights], given);
    replaceRouting(b, op, buildIndex(b, loc, indices, weights, to));
    return success();
  }
};

struct ConvertLimit : Pattern<RoutingLimitOp> {
  using Pattern::Pattern;
  LogicalResult matchAndRewrite(RoutingLimitOp op, Adaptor adaptor,
                                ConversionPatternRewriter &b) const override {
    Location loc = op.getLoc();
    RoutingType type = op.getResult().getType();
    ValueRange routing = adaptor.getRouting();
    moek::RouteOp route;
    if (op.isPlain())
      route = getExtensibleRoute(op.getRouting(), routing);
    if (route) {
      replaceRouting(b, op,
                     buildExtendedRoute(b, route, type, /*always=*/0, Value(),
                                        op.getCapacityAttr()));
      return success();
    }
    Value priority;
    if (!adaptor.getPriority().empty())
      priority = withDynamicRows(b, loc, adaptor.getPriority().front());
    Value tokens = getDim(b, loc, routing[kIndices], 0);
    SmallVector<Value> outputs{
        buildEmptyRows(b, loc, tokens, type.getSlots(), b.getI32Type()),
        buildEmptyRows(b, loc, tokens, type.getSlots(), b.getF32Type())};
    auto limit = moek::LimitOp::create(
        b, loc, TypeRange(ValueRange(outputs)), routing[kIndices],
        routing[kWeights], priority, outputs,
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

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

void moe::populateRoutingTypeConversion(TypeConverter &converter) {
  converter.addConversion(
      [](RoutingType type,
         SmallVectorImpl<Type> &types) -> std::optional<LogicalResult> {
        llvm::append_range(types, getRoutingTypes(type));
        return success();
      });
}

void moe::populateMoeToMoekPatterns(const TypeConverter &converter,
                                    RewritePatternSet &patterns) {
  patterns
      .add<ConvertRouter, ConvertDispatch, ConvertExpert, ConvertCombine,
           ConvertFFN, ConvertMake, ConvertTokens, ConvertNumTokens,
           ConvertAppend, ConvertLimit, ConvertView<RoutingIndicesOp, kIndices>,
           ConvertView<RoutingWeightsOp, kWeights>,
           ConvertView<RoutingOffsetsOp, kOffsets>>(converter,
                                                    patterns.getContext());
  populateBatchRouterPatterns(converter, patterns);
  populateSinkhornPatterns(converter, patterns);
  populateReweighPatterns(converter, patterns);
}

namespace {
struct ConvertMoeToMoek : moe::impl::ConvertMoeToMoekBase<ConvertMoeToMoek> {
  void runOnOperation() override {
    Operation *root = getOperation();
    narrowScores(root);

    MLIRContext *ctx = &getContext();
    TypeConverter converter;
    converter.addConversion([](Type type) { return type; });
    populateRoutingTypeConversion(converter);
    ConversionTarget target(*ctx);
    RewritePatternSet patterns(ctx);
    populateMoeToMoekPatterns(converter, patterns);
    populateFunctionOpInterfaceTypeConversionPattern<func::FuncOp>(patterns,
                                                                   converter);
    populateCallOpTypeConversionPattern(patterns, converter);
    populateReturnOpTypeConversionPattern(patterns, converter);
    scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns,
                                                         target);
    target.addIllegalDialect<MoeDialect>();
    target.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp op) {
      return converter.isSignatureLegal(op.getFunctionType());
    });
    target.addDynamicallyLegalOp<func::CallOp, func::ReturnOp>(
        [&](Operation *op) { return converter.isLegal(op); });
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    if (failed(applyPartialConversion(root, target, std::move(patterns))))
      return signalPassFailure();

    // Routers whose routing was extended are still there in their first form.
    SmallVector<Operation *> dead;
    root->walk([&](moek::RouteOp op) {
      if (op->getNumResults() != 0 && op->use_empty())
        dead.push_back(op);
    });
    for (Operation *op : dead)
      op->erase();

    // Kernels are isolated: constants of a router's region move along.
    OpBuilder b(ctx);
    WalkResult result = root->walk([&](moek::RouteOp op) {
      sinkConstants(b, op.getWeigh());
      SetVector<Value> captured;
      getUsedValuesDefinedAbove(op.getWeigh(), captured);
      if (captured.empty())
        return WalkResult::advance();
      op.emitError("the region that computes weights uses a value from outside "
                   "of it that is not a constant; only constants and its "
                   "argument can be used there");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  /// Routers compute in f32; what is in a routing has no other type.
  static void narrowScores(Operation *root) {
    root->walk([](Operation *op) {
      if (!isa_and_nonnull<MoeDialect>(op->getDialect()) ||
          op->getNumResults() != 1 ||
          !isa<RoutingType>(op->getResult(0).getType()))
        return;
      OpBuilder b(op);
      bool some = false;
      for (OpOperand &operand : op->getOpOperands()) {
        auto type = dyn_cast<RankedTensorType>(operand.get().getType());
        if (!type || !type.getElementType().isF64())
          continue;
        operand.set(
            convertElements(b, op->getLoc(), operand.get(), b.getF32Type()));
        some = true;
      }
      if (some)
        remarkMissed(op, kPassName)
            << "operands of f64 are rounded to f32, in which kernels select "
               "and weigh";
    });
  }
};
} // namespace
