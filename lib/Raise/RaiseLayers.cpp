//===- RaiseLayers.cpp - MoE layers in tensor programs -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// y[t, h] = sum(s, weight[t, s] * body(x[t], W[expert[t, s]])[h]) in index
// notation is a layer, however it is spelled. Any router will do: its choice
// and weights are taken as they are (rung 1). What RouterWeights recognises makes
// a moe.router of it (rung 2).
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"

#include "ExpertBody.h"
#include "InputWeights.h"
#include "Reroll.h"
#include "RouterWeights.h"
#include "WriteExpr.h"
#include "WriteLayer.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_RAISELAYERS
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::raise;

static constexpr llvm::StringLiteral kPassName = "moe-raise-layers";

namespace {

/// One tensor that may be the result of a layer.
class LayerRaiser {
public:
  LayerRaiser(Operation *op, Elements &elements)
      : op(op), elements(elements), exprs(elements.exprs) {}

  /// Whether there is a layer, raised or not. Experts may be added up one by
  /// one.
  bool run(const UnrolledSum *unrolled = nullptr);

private:
  /// Splits a product into what depends on the column and what does not.
  void split(const Expr *product);
  const Expr *splitOff(const Expr *expr, const Expr *depth);
  /// Experts that were chosen, or all of them.
  bool runChosen();
  bool runAll();
  Value writeOthers(Upstream &up, Value rows, Value routing, Value unlimited);
  /// Writes the layer in the place of the op.
  bool write(ExpertBody &body, Block &block, Value result);

  void say(const std::optional<Obstacle> &obstacle, StringRef otherwise);

  Operation *op;
  Elements &elements;
  Exprs &exprs;
  LayerLoops loops;
  SmallVector<Value> rest; ///< what is added to the layer
  /// How many tokens an expert has room for, and what others are.
  std::optional<int64_t> capacity;
  Value others;
  const Expr *column = nullptr;
  const Expr *row = nullptr;    ///< what depends on the column
  const Expr *weight = nullptr; ///< of the assignment; null if it is 1
  const Expr *expert = nullptr; ///< of the assignment
  bool isSplit = true;
};

struct RaiseLayers : moe::impl::RaiseLayersBase<RaiseLayers> {
  void runOnOperation() override {
    for (const UnrolledSum &unrolled : findUnrolledSums(getOperation())) {
      Elements elements(&getContext());
      LayerRaiser(unrolled.result, elements).run(&unrolled);
    }
    SmallVector<linalg::LinalgOp> ops;
    getOperation()->walk([&](linalg::LinalgOp op) {
      if (op.getNumReductionLoops() && op->getNumResults() == 1 &&
          isa<RankedTensorType>(op->getResult(0).getType()))
        ops.push_back(op);
    });
    Elements elements(&getContext());
    for (linalg::LinalgOp op : ops)
      if (!op->use_empty())
        LayerRaiser(op, elements).run();
  }
};

} // namespace

/// Moves the factors of `expr` out that neither depend on the column nor on
/// `depth`; null if there are none.
const Expr *LayerRaiser::splitOff(const Expr *expr, const Expr *depth) {
  const Expr *code = elements.unfoldAll(expr);
  if (!code->is("arith.mulf"))
    return nullptr;
  for (unsigned i = 0; i < 2; ++i) {
    const Expr *factor = (*code)[i], *other = (*code)[1 - i];
    // A number belongs to what an expert computes.
    if (!factor->getFloat() && !factor->dependsOn(column) &&
        !factor->dependsOn(depth)) {
      split(factor);
      const Expr *rest = splitOff(other, depth);
      return rest ? rest : other;
    }
  }
  for (unsigned i = 0; i < 2; ++i)
    if (const Expr *rest = splitOff((*code)[i], depth))
      return exprs.apply("arith.mulf", expr->type, {rest, (*code)[1 - i]});
  return nullptr;
}

void LayerRaiser::split(const Expr *expr) {
  if (!expr->dependsOn(column)) {
    weight =
        weight ? exprs.apply("arith.mulf", expr->type, {weight, expr}) : expr;
    return;
  }
  const Expr *code = expr;
  while (const Expr *next = elements.unfold(code)) {
    code = next;
    if (code->kind != Expr::Element)
      break;
  }
  if (code->is("arith.mulf") &&
      !((*code)[0]->dependsOn(column) && (*code)[1]->dependsOn(column))) {
    split((*code)[0]);
    split((*code)[1]);
    return;
  }
  // What a sum has as a factor in each of its terms.
  if (code->isReduce("arith.addf")) {
    const Expr *depth = code->operands[0];
    if (const Expr *inside = splitOff(code->operands[1], depth))
      code = exprs.reduce("arith.addf", depth, inside);
  }
  // Nothing in front of it, or there were two.
  if (row)
    isSplit = false;
  row = code;
}

void LayerRaiser::say(const std::optional<Obstacle> &obstacle,
                      StringRef otherwise) {
  remark::missed(obstacle ? obstacle->loc : op->getLoc(),
                 remark::RemarkOpts::name("no-layer").category(kPassName))
      << "the experts of a layer stay as they are: " +
             (obstacle ? obstacle->why : otherwise.str());
}

/// Whether experts are picked of more, or fewer, than `count`.
static bool picksOfOthers(const Expr *expert, int64_t count) {
  auto indices = expert && expert->kind == Expr::Element && expert->tensor
                     ? expert->tensor.getDefiningOp<RoutingIndicesOp>()
                     : RoutingIndicesOp();
  return indices && indices.getRouting().getType().getExperts() != count;
}

bool LayerRaiser::run(const UnrolledSum *unrolled) {
  std::optional<TensorLoops> tensorLoops = makeLoops(exprs, op->getResult(0));
  if (!tensorLoops || (!unrolled && tensorLoops->indices.size() != 2))
    return false;
  loops.token = tensorLoops->token;
  column = tensorLoops->column;
  const Expr *sum = nullptr;
  if (unrolled) {
    OpBuilder builder(op);
    Reroller reroller(elements, *unrolled);
    sum = reroller.run(*tensorLoops, builder);
    llvm::append_range(rest, reroller.getRest());
    capacity = reroller.getCapacity();
    others = reroller.getOthers();
    if (!sum)
      say(reroller.getObstacle(), "their terms are not one sum");
  } else {
    sum = elements.unfold(exprs.load(op->getResult(0), {loops.token, column}));
  }
  if (!sum)
    return false;
  if (sum->kind != Expr::Reduce) {
    // A sum of one.
    loops.slot = elements.getOnlySlot();
    split(sum);
  } else if (sum->name == "arith.addf" &&
             !ShapedType::isDynamic(sum->operands[0]->extent)) {
    loops.slot = sum->operands[0];
    split(sum->operands[1]);
  }
  if (!row || !isSplit)
    return false;

  if (runChosen())
    return true;
  return runAll();
}

bool LayerRaiser::runChosen() {
  Block block;
  OpBuilder builder(op);
  ExpertBody body(elements, loops, builder, &block, op->getLoc());
  Value result = body.write(row, column);
  bool isLayer = body.getExpert() != nullptr;
  std::string why = "no sum of theirs is known";
  if (result && isLayer && body.getInputWeight() && weight) {
    result = {};
    why = "rows are weighted, and so is what experts make of them";
  }
  expert = body.getExpert();
  if (isLayer && body.getInputWeight())
    weight = body.getInputWeight();
  if (isLayer && picksOfOthers(expert, body.getNumExperts())) {
    result = {};
    why = "the router picks of another number of experts than there are";
  }
  if (result && isLayer && write(body, block, result))
    return true;
  if (isLayer)
    say(body.getObstacle(), why);
  block.dropAllDefinedValueUses();
  block.dropAllReferences();
  return isLayer;
}

/// All experts on all tokens, whose rows are 0 for those that were not chosen:
/// the same is 0 of the others' results.
bool LayerRaiser::runAll() {
  if (!row->isReduce("arith.addf") && !row->is("arith.addf"))
    return false;
  Block block;
  OpBuilder builder(op);
  ExpertBody body(elements, loops, builder, &block, op->getLoc());
  body.setAllExperts(loops.slot->extent);
  Value result = body.write(row, column);
  bool isLayer = body.getInputWeight() && !body.getWeights().empty();
  std::string why = "rows are not weighted by those of a top-k and zeros";
  std::optional<ChosenWeight> chosen;
  if (result && isLayer && !weight)
    chosen = matchChosenWeight(elements, body.getInputWeight(), loops.slot);
  if (chosen && !isZeroForZeros(result)) {
    why = "experts may make something else than 0 of rows that are 0";
    chosen = std::nullopt;
  }
  if (chosen) {
    loops.slot = chosen->slot;
    expert = chosen->expert;
    weight = chosen->weight;
    if (write(body, block, result))
      return true;
  }
  if (isLayer)
    say(body.getObstacle(), why);
  block.dropAllDefinedValueUses();
  block.dropAllReferences();
  return isLayer;
}

/// Each expert takes its first `capacity` tokens.
static Value limitRouting(OpBuilder &b, Location loc, Value routing,
                          int64_t capacity) {
  OperationState state(loc, RoutingLimitOp::getOperationName());
  state.addOperands(routing);
  state.addTypes(routing.getType());
  state.addAttribute("capacity", b.getI64IntegerAttr(capacity));
  return b.create(state)->getResult(0);
}

/// [tokens, columns] without dimensions of one in front.
static Value asRows(Upstream &up, Value tensor) {
  Sizes sizes = up.sizesOf(tensor);
  sizes.erase(sizes.begin(), sizes.end() - 2);
  return up.reshape(tensor, sizes);
}

/// Rows of tokens whose expert has no room become those of `others`, times the
/// weights of `unlimited` if it is there.
Value LayerRaiser::writeOthers(Upstream &up, Value rows, Value routing,
                               Value unlimited) {
  OpBuilder &b = up.getBuilder();
  Location loc = op->getLoc();
  Type element = getElementTypeOrSelf(rows.getType());
  int64_t count = Upstream::typeOf(rows).getDimSize(0);
  MLIRContext *context = b.getContext();
  AffineMap whole = b.getMultiDimIdentityMap(2),
            ofToken = AffineMap::get(
                2, 0, {b.getAffineDimExpr(0), b.getAffineConstantExpr(0)},
                context);
  SmallVector<Value> inputs = {rows, asRows(up, others)};
  inputs.push_back(RoutingIndicesOp::create(
      b, loc, RankedTensorType::get({count, 1}, b.getI32Type()), routing));
  if (unlimited)
    inputs.push_back(RoutingWeightsOp::create(
        b, loc,
        RankedTensorType::get({count, 1},
                              element.isF64() ? element : b.getF32Type()),
        unlimited));
  SmallVector<AffineMap> maps = {whole, whole, ofToken, ofToken};
  maps.resize(inputs.size());
  return up.map(
      inputs, maps, up.sizesOf(rows), element,
      [&](OpBuilder &nested, ValueRange v) -> Value {
        Upstream scalars(nested, loc);
        Value other = v[1];
        if (unlimited)
          other = arith::MulFOp::create(nested, loc, other,
                                        scalars.castScalar(v[3], element));
        Value isOut =
            arith::CmpIOp::create(nested, loc, arith::CmpIPredicate::slt, v[2],
                                  scalars.scalar(nested.getI32Type(), 0));
        return arith::SelectOp::create(nested, loc, isOut, other, v[0]);
      });
}

bool LayerRaiser::write(ExpertBody &body, Block &block, Value result) {
  OpBuilder b(op);
  Location loc = op->getLoc();
  Upstream up(b, loc);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  int64_t slots = loops.slot->extent, experts = body.getNumExperts();
  auto routingType = RoutingType::get(b.getContext(), experts, slots);
  auto remarkAt = [&](StringRef name) {
    return remark::RemarkOpts::name(name).category(kPassName);
  };

  // Rung 2, else rung 1.
  RouterWeights router(elements, loops, expert, loc);
  Value routing;
  std::string how;
  if (router.match(weight)) {
    routing = router.write(b, loc);
    how = "rung 2: " + router.describe();
  } else {
    Sizes sizes = {up.sizesOf(body.getTokens())[0], b.getIndexAttr(slots)};
    SmallVector<const Expr *> all = {loops.token, loops.slot};
    Value chosen = writeTensor(up, expert, all, sizes, b.getI32Type());
    Type number = type.getElementType().isF64() ? Type(b.getF64Type())
                                                : Type(b.getF32Type());
    Value weights;
    if (weight)
      weights = writeTensor(up, weight, all, sizes, number);
    else
      weights = up.fill(sizes, up.scalar(number, 1));
    if (!chosen || !weights)
      return false;
    routing =
        RoutingMakeOp::create(b, loc, routingType, chosen, weights, false);
    how = "rung 1: experts and weights as they are";
    if (const std::optional<Obstacle> &obstacle = router.getObstacle())
      remark::missed(obstacle->loc, remarkAt("no-router"))
          << "the router stays as it is: " + obstacle->why;
  }

  Value unlimited = routing;
  if (capacity) {
    routing = limitRouting(b, loc, routing, *capacity);
    how += ", limited to " + std::to_string(*capacity) + " of an expert";
  }
  auto rowsType = RankedTensorType::get({type.getShape().drop_back().back(),
                                         column->extent},
                                        type.getElementType());
  Value y = writeLayer(b, loc, body, block, result, routing, rowsType);
  if (others)
    y = writeOthers(up, y, routing, weight ? unlimited : Value());
  for (Value other : rest)
    y = up.elementwise({asRows(up, other), y}, type.getElementType(),
                       [&](OpBuilder &nested, ValueRange v) -> Value {
                         return arith::AddFOp::create(nested, loc, v[0], v[1]);
                       });
  if (type.getRank() != 2) {
    Sizes sizes(type.getRank() - 2, b.getIndexAttr(1));
    llvm::append_range(sizes, up.sizesOf(y));
    y = up.reshape(y, sizes);
  }
  if (y.getType() != type)
    y = tensor::CastOp::create(b, loc, type, y);
  op->getResult(0).replaceAllUsesWith(y);
  remark::passed(loc, remarkAt("layer"))
      << "a layer of " + std::to_string(experts) + " experts, " +
             std::to_string(slots) + " of them a token; " + how +
             (body.getInputWeight() ? ", of the rows that experts read" : "");
  return true;
}
