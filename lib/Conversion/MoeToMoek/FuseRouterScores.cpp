//===- FuseRouterScores.cpp - Scores inside the routing kernel -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Walks from the rows of a moek.route back to what makes them, as far as it can
// be done for one token at a time, and rebuilds it on vectors of all experts.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace moe {
#define GEN_PASS_DEF_FUSEROUTERSCORES
#include "moe-mlir/Conversion/MoeToMoek/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using moek::RouteOp;

static constexpr llvm::StringLiteral kPassName = "moek-fuse-router-scores";

//===----------------------------------------------------------------------===//
// What can be absorbed
//===----------------------------------------------------------------------===//

/// The float that every element of `value` is, if it is a constant, a splat, or
/// filled with a constant.
static std::optional<APFloat> getSplat(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    value = fill.getInputs()[0];
  Attribute attr;
  if (!matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  // Scores are f32: a constant of another type would need its cast too.
  if (auto scalar = dyn_cast<FloatAttr>(attr); scalar && scalar.getType().isF32())
    return scalar.getValue();
  auto dense = dyn_cast<DenseFPElementsAttr>(attr);
  if (dense && dense.isSplat() && dense.getElementType().isF32())
    return dense.getSplatValue<APFloat>();
  return std::nullopt;
}

static bool isRows(Value value, int64_t experts) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.getDimSize(1) == experts &&
         type.getElementType().isF32();
}

static bool isVector(Value value, int64_t experts) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 1 && type.getDimSize(0) == experts &&
         type.getElementType().isF32();
}

static AffineMap getColumnMap(MLIRContext *ctx) {
  return AffineMap::get(2, 0, {getAffineDimExpr(1, ctx)}, ctx);
}

/// x Wr^T with zeros to start from.
static bool isProjection(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !isa<linalg::ContractionOpInterface>(op) ||
      !linalgOp.hasPureTensorSemantics() || linalgOp.getNumLoops() != 3)
    return false;
  MLIRContext *ctx = op->getContext();
  AffineExpr m = getAffineDimExpr(0, ctx), n = getAffineDimExpr(1, ctx),
             k = getAffineDimExpr(2, ctx);
  return linalgOp.getIndexingMapsArray() ==
         SmallVector<AffineMap>{AffineMap::get(3, 0, {m, k}, ctx),
                                AffineMap::get(3, 0, {n, k}, ctx),
                                AffineMap::get(3, 0, {m, n}, ctx)};
}

/// A weight that is packed once, ahead of time.
static bool isWeight(Value value) {
  auto arg = dyn_cast<BlockArgument>(value);
  return arg && arg.getOwner()->isEntryBlock() &&
         isa<FunctionOpInterface>(arg.getOwner()->getParentOp());
}

namespace {

/// The computation that moves into one moek.route.
class Scores {
public:
  explicit Scores(RouteOp route) : route(route), experts(route.getExperts()) {}

  /// Decides what moves. The values that stay with the reason for it are in
  /// `missed`.
  void collect();

  /// Whether anything moves.
  bool empty() const { return absorbed.empty(); }

  void rewrite(RewriterBase &b);

  SmallVector<std::pair<Operation *, std::string>> missed;
  unsigned numAbsorbed() const { return absorbed.size(); }

private:
  /// Why `op` cannot be computed per token; empty if it can. Its operands are
  /// added to `needs` and `vectors`.
  std::string whyNotAbsorb(Operation *op, SmallVectorImpl<Value> &needs,
                           SmallVectorImpl<Value> &newVectors);
  std::string whyNotElementwise(linalg::LinalgOp op,
                                SmallVectorImpl<Value> &needs,
                                SmallVectorImpl<Value> &newVectors);

  /// Whether nothing but what moves reads the result of `op`.
  bool dies(Operation *op) const;
  /// Whether `op` may be computed twice.
  static bool isCheap(Operation *op);

  Value buildElementwise(OpBuilder &b, linalg::LinalgOp op);
  Value buildSoftmax(OpBuilder &b, linalg::SoftmaxOp op);
  Value splat(OpBuilder &b, Location loc, const APFloat &value);

  RouteOp route;
  int64_t experts;
  /// The projection, if it moves.
  Operation *projection = nullptr;
  /// Ops that move, users first.
  SetVector<Operation *> absorbed;
  /// Those of them that are gone afterwards.
  DenseSet<Operation *> dying;
  /// Tensors that stay operands.
  SetVector<Value> rows, vectors;
  /// Values of one token in the new region.
  DenseMap<Value, Value> values;
};

} // namespace

bool Scores::dies(Operation *op) const {
  return llvm::all_of(op->getUsers(), [&](Operation *user) {
    return user == route || dying.contains(user);
  });
}

bool Scores::isCheap(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || isProjection(op))
    return false;
  return llvm::none_of(*linalgOp.getBlock(), [](Operation &inner) {
    return isa<math::MathDialect>(inner.getDialect()) ||
           isa<arith::DivFOp>(inner);
  });
}

std::string Scores::whyNotElementwise(linalg::LinalgOp op,
                                      SmallVectorImpl<Value> &needs,
                                      SmallVectorImpl<Value> &newVectors) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1 ||
      op.getNumDpsInits() != 1)
    return "it does not make exactly one tensor";
  if (op.getNumLoops() != 2 || op.getNumParallelLoops() != 2)
    return "it is not elementwise over tokens and experts";
  if (!op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return "it transposes its result";
  AffineMap column = getColumnMap(op.getContext());
  auto check = [&](OpOperand &operand) -> std::string {
    if (!op.payloadUsesValueFromOperand(&operand) || getSplat(operand.get()))
      return {};
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (map.isIdentity() && isRows(operand.get(), experts)) {
      needs.push_back(operand.get());
      return {};
    }
    if (map == column && isVector(operand.get(), experts)) {
      newVectors.push_back(operand.get());
      return {};
    }
    return "operand " + std::to_string(operand.getOperandNumber()) +
           " is neither f32 of [tokens, experts] or [experts] nor a constant";
  };
  for (OpOperand &operand : op->getOpOperands()) {
    std::string why = check(operand);
    if (!why.empty())
      return why;
  }
  std::string why;
  Block &body = *op.getBlock();
  for (Operation &inner : body.without_terminator())
    if (!isMovableScalarOp(inner, *body.getParent(), why))
      return why;
  return {};
}

std::string Scores::whyNotAbsorb(Operation *op, SmallVectorImpl<Value> &needs,
                                 SmallVectorImpl<Value> &newVectors) {
  if (!dies(op) && !isCheap(op))
    return "its result has other uses";
  if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op)) {
    if (!softmax.hasPureTensorSemantics())
      return "it is not on tensors";
    if (softmax.getDimension() != 1)
      return "it is not over the experts";
    needs.push_back(softmax.getInput());
    return {};
  }
  if (isProjection(op)) {
    auto linalgOp = cast<linalg::LinalgOp>(op);
    if (projection || route.getX())
      return "the kernel computes one projection, and has one";
    Value x = linalgOp.getDpsInputs()[0], weight = linalgOp.getDpsInputs()[1];
    Type xType = getElementTypeOrSelf(x), wType = getElementTypeOrSelf(weight);
    if (!wType.isF32()) {
      std::string type;
      llvm::raw_string_ostream(type) << wType;
      return "the router's weights are " + type +
             ", and logits are computed from f32; import or store them as f32";
    }
    if (!xType.isF32())
      return "its input is not f32";
    if (!cast<RankedTensorType>(weight.getType()).hasStaticShape() ||
        cast<RankedTensorType>(x.getType()).isDynamicDim(1))
      return "its weight or row length is dynamic";
    if (!isWeight(weight))
      return "its weight is computed in the function and cannot be packed "
             "ahead of time";
    std::optional<APFloat> start = getSplat(linalgOp.getDpsInits()[0]);
    if (!start || !start->isZero())
      return "it does not start from zeros";
    return {};
  }
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return whyNotElementwise(linalgOp, needs, newVectors);
  return "it is neither elementwise, nor a softmax, nor x Wr^T";
}

void Scores::collect() {
  SetVector<Value> pending(route.getRows().begin(), route.getRows().end());
  vectors.insert(route.getVectors().begin(), route.getVectors().end());
  // Users come before what they use, so that an op is decided when all of its
  // users are.
  while (!pending.empty()) {
    Value last;
    for (Value value : pending) {
      Operation *def = value.getDefiningOp();
      if (!def || def->getBlock() != route->getBlock()) {
        rows.insert(value);
        last = value;
        break;
      }
      if (!last || last.getDefiningOp()->isBeforeInBlock(def))
        last = value;
    }
    pending.remove(last);
    if (rows.contains(last))
      continue;
    Operation *op = last.getDefiningOp();
    if (absorbed.contains(op))
      continue;
    SmallVector<Value> needs, newVectors;
    std::string why = isRows(last, experts)
                          ? whyNotAbsorb(op, needs, newVectors)
                          : "its result is not f32";
    if (!why.empty()) {
      rows.insert(last);
      missed.emplace_back(op, why);
      continue;
    }
    if (isProjection(op))
      projection = op;
    if (dies(op))
      dying.insert(op);
    absorbed.insert(op);
    vectors.insert(newVectors.begin(), newVectors.end());
    for (Value need : needs)
      if (!rows.contains(need))
        pending.insert(need);
  }
}

//===----------------------------------------------------------------------===//
// Building the region
//===----------------------------------------------------------------------===//

Value Scores::splat(OpBuilder &b, Location loc, const APFloat &value) {
  auto type = VectorType::get({experts}, b.getF32Type());
  APFloat f32 = value;
  bool lost;
  f32.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &lost);
  return arith::ConstantOp::create(b, loc, type,
                                   DenseElementsAttr::get(type, f32));
}

Value Scores::buildElementwise(OpBuilder &b, linalg::LinalgOp op) {
  IRMapping mapping;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!op.payloadUsesValueFromOperand(&operand))
      continue;
    BlockArgument arg = op.getMatchingBlockArgument(&operand);
    if (std::optional<APFloat> constant = getSplat(operand.get()))
      mapping.map(arg, splat(b, op.getLoc(), *constant));
    else
      mapping.map(arg, values.lookup(operand.get()));
  }
  auto lift = [&](Value value) -> Value {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    // A constant of the body or from outside.
    Attribute attr;
    bool constant = matchPattern(value, m_Constant(&attr));
    assert(constant && "checked before");
    (void)constant;
    auto type = VectorType::get({experts}, value.getType());
    Value result = arith::ConstantOp::create(
        b, value.getLoc(), type,
        DenseElementsAttr::get(type, ArrayRef<Attribute>(attr)));
    mapping.map(value, result);
    return result;
  };
  Block &body = *op.getBlock();
  for (Operation &inner : body.without_terminator()) {
    if (inner.hasTrait<OpTrait::ConstantLike>())
      continue;
    OperationState state(inner.getLoc(), inner.getName());
    for (Value operand : inner.getOperands())
      state.operands.push_back(lift(operand));
    for (Type type : inner.getResultTypes())
      state.types.push_back(VectorType::get({experts}, type));
    state.addAttributes(inner.getAttrs());
    Operation *lifted = b.create(state);
    mapping.map(inner.getResults(), lifted->getResults());
  }
  return lift(body.getTerminator()->getOperand(0));
}

Value Scores::buildSoftmax(OpBuilder &b, linalg::SoftmaxOp op) {
  Location loc = op.getLoc();
  Value x = values.lookup(op.getInput());
  Type type = x.getType();
  auto reduce = [&](vector::CombiningKind kind, Value v,
                    arith::FastMathFlags flags) -> Value {
    Value scalar = vector::ReductionOp::create(b, loc, kind, v, flags);
    return vector::BroadcastOp::create(b, loc, type, scalar);
  };
  Value largest =
      reduce(vector::CombiningKind::MAXIMUMF, x, arith::FastMathFlags::none);
  Value shifted = arith::SubFOp::create(b, loc, x, largest);
  Value e = math::ExpOp::create(b, loc, shifted);
  // The order of this sum is the lowering's, the same for every token.
  Value sum =
      reduce(vector::CombiningKind::ADD, e, arith::FastMathFlags::reassoc);
  return arith::DivFOp::create(b, loc, e, sum);
}

void Scores::rewrite(RewriterBase &b) {
  Location loc = route.getLoc();
  b.setInsertionPoint(route);
  Value x = route.getX(), router = route.getRouter();
  if (projection) {
    auto linalgOp = cast<linalg::LinalgOp>(projection);
    x = linalgOp.getDpsInputs()[0];
    router = buildPack(b, projection->getLoc(), linalgOp.getDpsInputs()[1],
                       /*interleaved=*/false);
  }
  auto fused = RouteOp::create(
      b, loc, route->getResultTypes(), x, router, rows.getArrayRef(),
      vectors.getArrayRef(), route.getAlwaysWeights(), route.getOutputs(),
      route.getPolicy(), route.getExperts(), route.getAlways(),
      route.getCapacityAttr(), route.getScheduleAttr());
  b.inlineRegionBefore(route.getWeigh(), fused.getWeigh(),
                       fused.getWeigh().end());
  {
    OpBuilder::InsertionGuard guard(b);
    auto type = VectorType::get({experts}, b.getF32Type());
    unsigned count = rows.size() + vectors.size() + (x ? 1 : 0);
    Block *block =
        b.createBlock(&fused.getScores(), {}, SmallVector<Type>(count, type),
                      SmallVector<Location>(count, loc));
    unsigned next = 0;
    Value logits = x ? block->getArgument(next++) : Value();
    if (projection)
      values[projection->getResult(0)] = logits;
    for (Value value : rows)
      values[value] = block->getArgument(next++);
    for (Value value : vectors)
      values[value] = block->getArgument(next++);

    SmallVector<Operation *> order(absorbed.begin(), absorbed.end());
    llvm::sort(order, [](Operation *l, Operation *r) {
      return l->isBeforeInBlock(r);
    });
    for (Operation *op : order) {
      if (op == projection)
        continue;
      Value result;
      if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
        result = buildSoftmax(b, softmax);
      else
        result = buildElementwise(b, cast<linalg::LinalgOp>(op));
      values[op->getResult(0)] = result;
    }

    // The old region works on what is now computed before it.
    Block &old = route.getScores().front();
    SmallVector<Value> arguments;
    if (route.getX())
      arguments.push_back(logits);
    for (Value value : route.getRows())
      arguments.push_back(values.lookup(value));
    for (Value value : route.getVectors())
      arguments.push_back(values.lookup(value));
    b.mergeBlocks(&old, block, arguments);
    sinkConstants(b, fused.getScores());
  }
  b.replaceOp(route, fused.getResults());
  for (Operation *op : absorbed)
    if (op->use_empty())
      b.eraseOp(op);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct FuseRouterScores : moe::impl::FuseRouterScoresBase<FuseRouterScores> {
  void runOnOperation() override {
    resolveDimsOfResults(getOperation());
    SmallVector<RouteOp> routes;
    getOperation()->walk([&](RouteOp op) { routes.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (RouteOp route : routes) {
      if (route->getNumResults() == 0 || route.getRows().empty())
        continue;
      Scores scores(route);
      scores.collect();
      for (auto &[op, why] : scores.missed)
        remarkMissed(op, kPassName)
            << ("scores are stored before they are read: " + why +
                "; f32 elementwise ops over [tokens, experts], softmax over "
                "the experts and x Wr^T of f32 move into the kernel");
      if (scores.empty())
        continue;
      remarkPassed(route, kPassName)
          << (std::to_string(scores.numAbsorbed()) +
              " operations on scores are part of the routing kernel");
      scores.rewrite(rewriter);
    }
  }
};
} // namespace
