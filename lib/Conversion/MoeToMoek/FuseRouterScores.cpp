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
#include "Payload.h"

#include "moe-mlir/Analysis/WeightUse.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Utils/VectorUtils.h"
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

/// The number that all elements of `value` are, if it is one of f32, as scores
/// are: a constant of another type would need its cast too.
static std::optional<APFloat> getFloatSplat(Value value) {
  std::optional<TypedAttr> splat = getSplat(value);
  auto number = splat ? dyn_cast<FloatAttr>(*splat) : FloatAttr();
  if (!number || !number.getType().isF32())
    return std::nullopt;
  return number.getValue();
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

/// `[T]`: one value a token.
static bool isScalars(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 1 && type.getElementType().isF32();
}

/// `[E, T]`.
static bool isColumns(Value value, int64_t experts) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.getRank() == 2 && type.getDimSize(0) == experts &&
         type.getElementType().isF32();
}

/// Maps of an op over (tokens, experts): one value an expert, one a token, and
/// experts before tokens.
static AffineMap getColumnMap(MLIRContext *ctx) {
  return AffineMap::get(2, 0, {getAffineDimExpr(1, ctx)}, ctx);
}
static AffineMap getTokenMap(MLIRContext *ctx) {
  return AffineMap::get(2, 0, {getAffineDimExpr(0, ctx)}, ctx);
}
static AffineMap getTransposedMap(MLIRContext *ctx) {
  return AffineMap::get(
      2, 0, {getAffineDimExpr(1, ctx), getAffineDimExpr(0, ctx)}, ctx);
}

/// What an op does with its loops.
static bool isElementwise(linalg::LinalgOp op) {
  return op.getNumLoops() == 2 && op.getNumParallelLoops() == 2;
}
static bool isRowReduction(linalg::LinalgOp op) {
  return op.getNumLoops() == 2 && op.getNumParallelLoops() == 1 &&
         op.getIteratorTypesArray()[0] == utils::IteratorType::parallel;
}
static bool isPerToken(linalg::LinalgOp op) {
  return op.getNumLoops() == 1 && op.getNumParallelLoops() == 1;
}

/// What a projection is of its weights: x Wr^T, of [experts, hidden], or x Wr.
enum class Layout { ExpertsFirst, HiddenFirst };

/// Whether it is a projection, of either layout.
static std::optional<Layout> matchProjection(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !isa<linalg::ContractionOpInterface>(op) ||
      !linalgOp.hasPureTensorSemantics() || linalgOp.getNumLoops() != 3)
    return std::nullopt;
  MLIRContext *ctx = op->getContext();
  AffineExpr m = getAffineDimExpr(0, ctx), n = getAffineDimExpr(1, ctx),
             k = getAffineDimExpr(2, ctx);
  SmallVector<AffineMap> maps = linalgOp.getIndexingMapsArray();
  if (maps[0] != AffineMap::get(3, 0, {m, k}, ctx) ||
      maps[2] != AffineMap::get(3, 0, {m, n}, ctx))
    return std::nullopt;
  if (maps[1] == AffineMap::get(3, 0, {n, k}, ctx))
    return Layout::ExpertsFirst;
  if (maps[1] == AffineMap::get(3, 0, {k, n}, ctx))
    return Layout::HiddenFirst;
  return std::nullopt;
}

static bool isProjection(Operation *op) {
  return matchProjection(op).has_value();
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

  /// `value` of the body of `op`, for one token.
  Value buildValue(OpBuilder &b, linalg::LinalgOp op, Value value);
  Value buildLinalg(OpBuilder &b, linalg::LinalgOp op);
  Value buildSoftmax(OpBuilder &b, linalg::SoftmaxOp op);

  RouteOp route;
  int64_t experts;
  /// The projection, if it moves.
  Operation *projection = nullptr;
  /// Ops that move, users first.
  SetVector<Operation *> absorbed;
  /// Those of them that are gone afterwards.
  DenseSet<Operation *> dying;
  /// Tensors that stay operands.
  SetVector<Value> rows, columns, vectors, scalars;
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
  bool reduces = isRowReduction(op);
  if (!isElementwise(op) && !reduces && !isPerToken(op))
    return "it is neither elementwise over tokens and experts nor a reduction "
           "over the experts";
  MLIRContext *ctx = op.getContext();
  OpOperand *init = op.getDpsInitOperand(0);
  AffineMap out = op.getMatchingIndexingMap(init);
  if (reduces ? out != getTokenMap(ctx) : !out.isIdentity())
    return "it transposes its result";
  if (reduces && !getFloatSplat(init->get()))
    return "its reduction does not start from a constant";
  if (reduces && !matchCombiner(op))
    return "it reduces by something else than a sum, product, maximum or "
           "minimum";
  SmallVector<Value> newColumns;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    if (!op.payloadUsesValueFromOperand(&operand) || getFloatSplat(value) ||
        (reduces && &operand == init))
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool perToken = isPerToken(op);
    if (map.isIdentity() &&
        (perToken ? isScalars(value) : isRows(value, experts)))
      needs.push_back(value);
    else if (!perToken && map == getTokenMap(ctx) && isScalars(value))
      needs.push_back(value);
    else if (!perToken && map == getTransposedMap(ctx) &&
             isColumns(value, experts))
      newColumns.push_back(value);
    else if (!perToken && map == getColumnMap(ctx) && isVector(value, experts))
      newVectors.push_back(value);
    else
      return "operand " + std::to_string(operand.getOperandNumber()) +
             " is neither f32 of [tokens, experts], [experts, tokens], "
             "[tokens] or [experts] nor a constant";
  }
  std::string why;
  Block &body = *op.getBlock();
  for (Operation &inner : body.without_terminator())
    if (!isMovableScalarOp(inner, *body.getParent(), why))
      return why;
  columns.insert(newColumns.begin(), newColumns.end());
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
    std::string why;
    if (failed(WeightUse::get(weight, why)))
      return "its weight cannot be packed ahead of time: " + why;
    std::optional<APFloat> start = getFloatSplat(linalgOp.getDpsInits()[0]);
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
  pending.insert(route.getScalars().begin(), route.getScalars().end());
  columns.insert(route.getColumns().begin(), route.getColumns().end());
  vectors.insert(route.getVectors().begin(), route.getVectors().end());
  auto keep = [&](Value value) {
    (isScalars(value) ? scalars : rows).insert(value);
  };
  // Users come before what they use, so that an op is decided when all of its
  // users are.
  while (!pending.empty()) {
    Value last;
    for (Value value : pending) {
      Operation *def = value.getDefiningOp();
      if (!def || def->getBlock() != route->getBlock()) {
        keep(value);
        last = value;
        break;
      }
      if (!last || last.getDefiningOp()->isBeforeInBlock(def))
        last = value;
    }
    pending.remove(last);
    if (rows.contains(last) || scalars.contains(last))
      continue;
    Operation *op = last.getDefiningOp();
    if (absorbed.contains(op))
      continue;
    SmallVector<Value> needs, newVectors;
    std::string why = isRows(last, experts) || isScalars(last)
                          ? whyNotAbsorb(op, needs, newVectors)
                          : "its result is not f32";
    if (!why.empty()) {
      keep(last);
      // What is one number a token is small.
      if (isRows(last, experts))
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
      if (!rows.contains(need) && !scalars.contains(need))
        pending.insert(need);
  }
}

//===----------------------------------------------------------------------===//
// Building the region
//===----------------------------------------------------------------------===//

Value Scores::buildValue(OpBuilder &b, linalg::LinalgOp op, Value value) {
  IRMapping mapping;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!op.payloadUsesValueFromOperand(&operand) ||
        (isRowReduction(op) && op.isDpsInit(&operand)))
      continue;
    std::optional<APFloat> constant = getFloatSplat(operand.get());
    mapping.map(op.getMatchingBlockArgument(&operand),
                constant ? arith::ConstantOp::create(
                               b, op.getLoc(),
                               b.getFloatAttr(b.getF32Type(), *constant))
                         : values.lookup(operand.get()));
  }
  Value result =
      buildPayloadOnRow(b, *op.getBlock(), mapping, value, experts)[0];
  return isPerToken(op) ? result
                        : spreadOverRow(b, op.getLoc(), result, experts);
}

Value Scores::buildLinalg(OpBuilder &b, linalg::LinalgOp op) {
  if (!isRowReduction(op))
    return buildValue(b, op, op.getBlock()->getTerminator()->getOperand(0));
  Combiner combiner = *matchCombiner(op);
  Location loc = op.getLoc();
  Value terms = buildValue(b, op, combiner.term);
  Value result = vector::ReductionOp::create(b, loc, combiner.kind, terms);
  APFloat start = *getFloatSplat(op.getDpsInitOperand(0)->get());
  return vector::makeArithReduction(
      b, loc, combiner.kind, result,
      arith::ConstantOp::create(b, loc, b.getFloatAttr(b.getF32Type(), start)));
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

/// The view of a matrix with its dimensions swapped; it is packed from there.
static Value transposeView(OpBuilder &b, Location loc, Value matrix) {
  auto type = cast<RankedTensorType>(matrix.getType());
  Value init = tensor::EmptyOp::create(
      b, loc, {type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
  return linalg::TransposeOp::create(b, loc, matrix, init,
                                     ArrayRef<int64_t>{1, 0})
      ->getResult(0);
}

void Scores::rewrite(RewriterBase &b) {
  Location loc = route.getLoc();
  b.setInsertionPoint(route);
  Value x = route.getX(), router = route.getRouter();
  if (projection) {
    auto linalgOp = cast<linalg::LinalgOp>(projection);
    x = linalgOp.getDpsInputs()[0];
    Value weight = linalgOp.getDpsInputs()[1];
    if (matchProjection(projection) == Layout::HiddenFirst)
      weight = transposeView(b, projection->getLoc(), weight);
    router = moek::PackOp::create(b, projection->getLoc(), ValueRange{weight});
  }
  auto fused = RouteOp::create(
      b, loc, route->getResultTypes(), x, router, rows.getArrayRef(),
      columns.getArrayRef(), vectors.getArrayRef(), scalars.getArrayRef(),
      route.getPolicyOperands(), route.getPerExpert(), route.getAlwaysWeights(),
      route.getOutputs(), route.getPolicy(), route.getExperts(),
      route.getAlways(), route.getCapacityAttr(), route.getScheduleAttr());
  b.inlineRegionBefore(route.getWeigh(), fused.getWeigh(),
                       fused.getWeigh().end());
  {
    OpBuilder::InsertionGuard guard(b);
    auto type = VectorType::get({experts}, b.getF32Type());
    SmallVector<Type> types(
        rows.size() + columns.size() + vectors.size() + (x ? 1 : 0), type);
    types.append(scalars.size(), b.getF32Type());
    Block *block = b.createBlock(&fused.getScores(), {}, types,
                                 SmallVector<Location>(types.size(), loc));
    unsigned next = 0;
    Value logits = x ? block->getArgument(next++) : Value();
    if (projection)
      values[projection->getResult(0)] = logits;
    for (const SetVector<Value> *set : {&rows, &columns, &vectors, &scalars})
      for (Value value : *set)
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
        result = buildLinalg(b, cast<linalg::LinalgOp>(op));
      values[op->getResult(0)] = result;
    }

    // The old region works on what is now computed before it.
    Block &old = route.getScores().front();
    SmallVector<Value> arguments;
    if (route.getX())
      arguments.push_back(logits);
    for (OperandRange range : {route.getRows(), route.getColumns(),
                               route.getVectors(), route.getScalars()})
      for (Value value : range)
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
      if (route->getNumResults() == 0 ||
          (route.getRows().empty() && route.getScalars().empty()))
        continue;
      Scores scores(route);
      scores.collect();
      for (auto &[op, why] : scores.missed)
        reportMissed(op, kPassName,
                     {"scores are stored before they are read",
                      why,
                      "f32 elementwise ops over [tokens, experts], softmax and "
                      "reductions over the experts and x Wr^T of f32 move into "
                      "the kernel",
                      {op->getResult(0)}});
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
