//===- NormalizeRouterScores.cpp - Cheapest form of scores -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Selection needs the order of the scores only, and weights are made of K of
// them: what is computed of all E can often go, or come after the selection.
//
// A softmax makes one more thing of a row: NaN everywhere if a logit is NaN or
// +infinity. Logits that stand for it get that from a sum of zeros and NaN.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Passes.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/TypeSwitch.h"

namespace moe {
#define GEN_PASS_DEF_NORMALIZEROUTERSCORES
#include "moe-mlir/Transforms/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static constexpr llvm::StringLiteral kPassName = "moe-normalize-router-scores";

//===----------------------------------------------------------------------===//
// Scalar bodies
//===----------------------------------------------------------------------===//

static std::optional<double> getConstant(Value value) {
  FloatAttr attr;
  if (!matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  return attr.getValueAsDouble();
}

/// Whether `value` is above zero whatever the argument is.
static bool isPositive(Value value) {
  if (std::optional<double> c = getConstant(value))
    return *c > 0;
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (isa<math::ExpOp, math::Exp2Op>(op))
    return true;
  if (isa<arith::AddFOp, arith::MulFOp, arith::DivFOp>(op))
    return isPositive(op->getOperand(0)) && isPositive(op->getOperand(1));
  // Above log 1.
  if (auto log = dyn_cast<math::LogOp>(op)) {
    auto sum = log.getOperand().getDefiningOp<arith::AddFOp>();
    for (int i = 0; sum && i < 2; ++i) {
      std::optional<double> c = getConstant(sum->getOperand(i));
      if (c && *c >= 1 && isPositive(sum->getOperand(1 - i)))
        return true;
    }
    return false;
  }
  if (isa<math::Log1pOp, math::SqrtOp>(op))
    return isPositive(op->getOperand(0));
  return false;
}

/// 1 if `value` strictly increases with `arg`, -1 if it strictly decreases,
/// nothing if neither is known.
static std::optional<int> getDirection(Value value, Value arg) {
  if (value == arg)
    return 1;
  Operation *op = value.getDefiningOp();
  if (!op || op->getNumResults() != 1)
    return std::nullopt;
  auto of = [&](unsigned i) { return getDirection(op->getOperand(i), arg); };
  auto flip = [](std::optional<int> d) {
    return d ? std::optional<int>(-*d) : d;
  };
  // A sum or product of a constant and something else.
  auto split = [&](double &constant) -> std::optional<unsigned> {
    for (unsigned i = 0; i < 2; ++i)
      if (std::optional<double> c = getConstant(op->getOperand(i))) {
        constant = *c;
        return 1 - i;
      }
    return std::nullopt;
  };
  double constant = 0;
  return TypeSwitch<Operation *, std::optional<int>>(op)
      .Case<math::ExpOp, math::Exp2Op, math::ExpM1Op, math::TanhOp,
            math::AtanOp, math::ErfOp, arith::ExtFOp>(
          [&](Operation *) { return of(0); })
      .Case<math::LogOp, math::Log1pOp, math::SqrtOp>(
          [&](Operation *) -> std::optional<int> {
            // NaN of a negative number would order last.
            if (!isPositive(op->getOperand(0)))
              return std::nullopt;
            return of(0);
          })
      .Case<arith::NegFOp>([&](Operation *) { return flip(of(0)); })
      .Case<arith::AddFOp>([&](Operation *) -> std::optional<int> {
        // An infinity would make one score of all.
        if (std::optional<unsigned> other = split(constant))
          return std::isfinite(constant) ? of(*other) : std::nullopt;
        std::optional<int> l = of(0), r = of(1);
        return l == r ? l : std::nullopt;
      })
      .Case<arith::SubFOp>([&](Operation *) -> std::optional<int> {
        std::optional<unsigned> other = split(constant);
        if (!other || !std::isfinite(constant))
          return std::nullopt;
        return *other == 0 ? of(0) : flip(of(1));
      })
      .Case<arith::MulFOp>([&](Operation *) -> std::optional<int> {
        std::optional<unsigned> other = split(constant);
        if (!other || constant == 0 || !std::isfinite(constant))
          return std::nullopt;
        return constant > 0 ? of(*other) : flip(of(*other));
      })
      .Case<arith::DivFOp>([&](Operation *) -> std::optional<int> {
        std::optional<unsigned> other = split(constant);
        if (!other || constant == 0 || !std::isfinite(constant))
          return std::nullopt;
        if (*other == 0)
          return constant > 0 ? of(0) : flip(of(0));
        // c / x has a jump at zero.
        if (!isPositive(op->getOperand(1)))
          return std::nullopt;
        return constant > 0 ? flip(of(1)) : of(1);
      })
      .Default(std::optional<int>());
}

/// Whether `value` is 1 / (1 + exp(-arg)).
static bool isSigmoid(Value value, Value arg) {
  auto isOne = [](Value v) { return getConstant(v) == 1.0; };
  auto quotient = value.getDefiningOp<arith::DivFOp>();
  if (!quotient || !isOne(quotient.getLhs()))
    return false;
  auto sum = quotient.getRhs().getDefiningOp<arith::AddFOp>();
  if (!sum)
    return false;
  Value e = isOne(sum.getLhs())   ? sum.getRhs()
            : isOne(sum.getRhs()) ? sum.getLhs()
                                  : Value();
  auto exp = e ? e.getDefiningOp<math::ExpOp>() : math::ExpOp();
  if (!exp)
    return false;
  if (auto neg = exp.getOperand().getDefiningOp<arith::NegFOp>())
    return neg.getOperand() == arg;
  if (auto sub = exp.getOperand().getDefiningOp<arith::SubFOp>())
    return getConstant(sub.getLhs()) == 0.0 && sub.getRhs() == arg;
  return false;
}

//===----------------------------------------------------------------------===//
// Tensors of scores
//===----------------------------------------------------------------------===//

/// The only tensor that an elementwise `op` reads, and its block argument.
static Value getElementwiseSource(linalg::LinalgOp op, Value &arg) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1 ||
      op.getNumLoops() != 2 || op.getNumParallelLoops() != 2 ||
      llvm::any_of(op.getIndexingMapsArray(),
                   [](AffineMap map) { return !map.isIdentity(); }))
    return {};
  Value source;
  for (OpOperand &operand : op->getOpOperands()) {
    if (!op.payloadUsesValueFromOperand(&operand))
      continue;
    if (source)
      return {};
    source = operand.get();
    arg = op.getMatchingBlockArgument(&operand);
  }
  return source;
}

static linalg::SoftmaxOp getSoftmaxOverExperts(Value value) {
  auto softmax = value.getDefiningOp<linalg::SoftmaxOp>();
  if (!softmax || !softmax.hasPureTensorSemantics() ||
      softmax.getDimension() != 1)
    return {};
  return softmax;
}

/// The tensor of which `scores` is a strictly increasing function in each row,
/// or null. Below a softmax that holds for rows of numbers only.
static Value getSameOrder(Value scores) {
  Value source;
  if (auto softmax = getSoftmaxOverExperts(scores)) {
    source = softmax.getInput();
  } else if (auto op = scores.getDefiningOp<linalg::LinalgOp>()) {
    Value arg;
    source = getElementwiseSource(op, arg);
    if (!source || getDirection(op.getBlock()->getTerminator()->getOperand(0),
                                arg) != std::optional<int>(1))
      return {};
  }
  if (!source || source.getType() != scores.getType())
    return {};
  return source;
}

/// The input of `softmax`, with NaN in all of a row where the softmax has it
/// for a logit that is NaN or +infinity. (A row of -infinity alone is NaN too,
/// but has the order of NaN already, and no softmax of a part of it is a
/// number.)
static Value buildLogits(RewriterBase &b, linalg::SoftmaxOp softmax) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(softmax);
  Location loc = softmax.getLoc();
  MLIRContext *ctx = b.getContext();
  Value logits = softmax.getInput();
  auto type = cast<RankedTensorType>(logits.getType());
  Type element = type.getElementType();
  auto constant = [&](double value) -> Value {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(element, value));
  };
  Value zero = constant(0.0);
  Value none = constant(std::numeric_limits<double>::quiet_NaN());
  Value infinity = constant(std::numeric_limits<double>::infinity());
  SmallVector<Value> rows;
  if (type.isDynamicDim(0))
    rows.push_back(tensor::DimOp::create(b, loc, logits, 0));
  auto rowType = RankedTensorType::get({type.getDimSize(0)}, element);
  Value empty = tensor::EmptyOp::create(b, loc, rowType, rows);
  Value zeros = linalg::FillOp::create(b, loc, zero, empty).getResult(0);

  AffineMap all = b.getMultiDimIdentityMap(2);
  AffineMap row = AffineMap::get(2, 0, {b.getAffineDimExpr(0)}, ctx);
  auto parallel = utils::IteratorType::parallel;
  Value poison =
      linalg::GenericOp::create(
          b, loc, rowType, logits, zeros, ArrayRef<AffineMap>{all, row},
          ArrayRef<utils::IteratorType>{parallel,
                                        utils::IteratorType::reduction},
          [&](OpBuilder &b, Location loc, ValueRange args) {
            Value number = arith::CmpFOp::create(
                b, loc, arith::CmpFPredicate::OLT, args[0], infinity);
            Value term = arith::SelectOp::create(b, loc, number, zero, none);
            Value sum = arith::AddFOp::create(b, loc, args[1], term);
            linalg::YieldOp::create(b, loc, sum);
          })
          .getResult(0);
  return linalg::GenericOp::create(
             b, loc, type, ValueRange{logits, poison}, softmax.getOutput(),
             ArrayRef<AffineMap>{all, row, all},
             ArrayRef<utils::IteratorType>{parallel, parallel},
             [&](OpBuilder &b, Location loc, ValueRange args) {
               Value sum = arith::AddFOp::create(b, loc, args[0], args[1]);
               linalg::YieldOp::create(b, loc, sum);
             })
      .getResult(0);
}

/// The logits of which `scores` is the sigmoid, or null.
static Value getSigmoidSource(Value scores) {
  auto op = scores.getDefiningOp<linalg::LinalgOp>();
  if (!op)
    return {};
  Value arg;
  Value source = getElementwiseSource(op, arg);
  if (!source || source.getType() != scores.getType() ||
      !isSigmoid(op.getBlock()->getTerminator()->getOperand(0), arg))
    return {};
  return source;
}

/// Whether computing `value` needs the result of `op`.
static bool dependsOn(Value value, Operation *op) {
  SmallVector<Value> worklist{value};
  DenseSet<Operation *> seen;
  while (!worklist.empty()) {
    Operation *def = worklist.pop_back_val().getDefiningOp();
    if (!def || !seen.insert(def).second)
      continue;
    if (def == op)
      return true;
    llvm::append_range(worklist, def->getOperands());
  }
  return false;
}

//===----------------------------------------------------------------------===//
// Rewrites
//===----------------------------------------------------------------------===//

namespace {
/// Rewrites the scores of one router.
class Normalizer {
public:
  Normalizer(RouterOp op, RewriterBase &b) : op(op), b(b) {}

  /// Whether anything changed.
  bool run() {
    bool changed = false;
    while (moveSelection())
      changed = true;
    while (moveWeighing())
      changed = true;
    return changed;
  }

  /// Why a function that is there has to stay: for the selection, and for the
  /// weights.
  std::string why[2];

private:
  bool moveSelection();
  bool moveWeighing();

  /// What stands for `softmax`: built once, as select and weigh mostly read the
  /// same.
  Value logitsOf(linalg::SoftmaxOp softmax) {
    Value &built = logits[softmax];
    if (!built)
      built = buildLogits(b, softmax);
    return built;
  }

  RouterOp op;
  RewriterBase &b;
  DenseMap<Operation *, Value> logits;
};
} // namespace

/// select(f(z)) to select(z) for an increasing f.
bool Normalizer::moveSelection() {
  if (!op.getSelect())
    return false;
  Value source = getSameOrder(op.getSelect());
  if (!source) {
    // An expert's own bias on top of a score changes the order.
    if (auto biased = op.getSelect().getDefiningOp<linalg::LinalgOp>())
      for (Value input : biased.getDpsInputs())
        if (biased.getNumParallelLoops() == 2 &&
            !llvm::is_contained(llvm::make_second_range(logits),
                                op.getSelect()) &&
            getSameOrder(input))
          why[0] = "scores of all experts are computed for the selection: they "
                   "are changed for each expert after the score function, so "
                   "their order is not that of the logits; a bias before the "
                   "score function would not need them";
    return false;
  }
  if (!op.getPolicy().selectsByOrder()) {
    why[0] = "scores of all experts are computed for the selection: the policy "
             "uses more than their order; one whose selectsByOrder() is true "
             "would select by the logits";
    return false;
  }
  if (auto softmax = getSoftmaxOverExperts(op.getSelect()))
    source = logitsOf(softmax);
  b.modifyOpInPlace(op, [&] { op.getSelectMutable().assign(source); });
  return true;
}

/// Scores of weigh that can be computed of the chosen K only.
bool Normalizer::moveWeighing() {
  if (!op.getSelect() || !op.getWeigh())
    return false;
  Operation *scores = op.getWeigh().getDefiningOp();
  if (!scores || dependsOn(op.getSelect(), scores))
    return false;
  MLIRContext *ctx = op.getContext();
  SmallVector<Attribute> steps;
  if (op.getWeighingAttr())
    llvm::append_range(steps, op.getWeighingAttr());
  Value source;
  auto softmax = getSoftmaxOverExperts(op.getWeigh());
  if (softmax) {
    auto norm =
        steps.empty() ? NormalizeAttr() : dyn_cast<NormalizeAttr>(steps[0]);
    // Probabilities are positive, so the 1-norm is the sum. The sum over all
    // experts, which softmax divides by, cancels.
    bool exact =
        norm &&
        ((norm.getKind() == NormalizeKind::Sum && norm.getValue() == 0.0) ||
         (norm.getKind() == NormalizeKind::PNorm && norm.getValue() == 1.0));
    if (!exact) {
      why[1] = "softmax runs over all experts: the chosen probabilities are "
               "not divided by their sum, so they depend on the experts that "
               "were not chosen; with #moe.normalize<sum, eps = 0.0> as the "
               "first step, softmax would run over the chosen ones";
      return false;
    }
    source = softmax.getInput();
    if (source.getType() != op.getWeigh().getType())
      return false;
    steps[0] = SoftmaxAttr::get(ctx);
  } else if (Value logits = getSigmoidSource(op.getWeigh())) {
    source = logits;
    steps.insert(steps.begin(), SigmoidAttr::get(ctx));
  } else {
    return false;
  }
  if (!op.getWeightsRegion().empty()) {
    why[1] = "scores of all experts are computed for the weights: the weights "
             "are a region; a list of weighings would take the score function "
             "in";
    return false;
  }
  if (softmax)
    source = logitsOf(softmax);
  b.modifyOpInPlace(op, [&] {
    op.getWeighMutable().assign(source);
    op.setWeighingAttr(b.getArrayAttr(steps));
  });
  return true;
}

namespace {
struct NormalizeScores : OpRewritePattern<RouterOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RouterOp op,
                                PatternRewriter &rewriter) const override {
    Normalizer normalizer(op, rewriter);
    if (normalizer.run())
      return success();
    const std::string &reason = normalizer.why[normalizer.why[0].empty()];
    return rewriter.notifyMatchFailure(op, reason);
  }
};

struct NormalizeRouterScores
    : moe::impl::NormalizeRouterScoresBase<NormalizeRouterScores> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    getOperation()->walk([&](RouterOp op) {
      auto opts = [](StringRef name) {
        return remark::RemarkOpts::name(name).category(kPassName);
      };
      Normalizer normalizer(op, rewriter);
      if (normalizer.run())
        remark::passed(op.getLoc(), opts("normalized"))
            << "score functions run after the selection, or not at all";
      for (const std::string &reason : normalizer.why)
        if (!reason.empty())
          remark::missed(op.getLoc(), opts("not-normalized")) << reason;
    });
  }
};
} // namespace

void moe::populateNormalizeRouterScoresPatterns(RewritePatternSet &patterns) {
  patterns.add<NormalizeScores>(patterns.getContext());
}
