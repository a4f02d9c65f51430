//===- SkipExperts.cpp - Assignments that weigh little ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What is dropped has neither a row nor a place in a sum. Magnitudes are
// compared as integers, which order floats of one sign as they are ordered,
// with NaN above all: a weight of NaN is never dropped.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Sparsity/Passes.h"

#include "RoutingMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"

namespace moe {
#define GEN_PASS_DEF_SKIPEXPERTS
#define GEN_PASS_DEF_SKIPZEROWEIGHTS
#include "moe-mlir/Sparsity/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

//===----------------------------------------------------------------------===//
// Where
//===----------------------------------------------------------------------===//

/// The routings of layers in which each token chose its experts: those in front
/// of experts that all tokens have, behind all that limits or reweighs.
static llvm::SetVector<Value> findChoices(Operation *root) {
  llvm::SetVector<Value> choices;
  root->walk([&](ExpertOp op) {
    Value routing = op.getRouting();
    while (auto append = routing.getDefiningOp<RoutingAppendOp>())
      routing = append.getRouting();
    choices.insert(routing);
  });
  return choices;
}

/// Whether `op` computes with the rows of a routing, or makes the routing of
/// what does.
static bool usesRows(Operation *op) {
  return isa<DispatchOp, ExpertOp, CombineOp, RoutingAppendOp>(op);
}

//===----------------------------------------------------------------------===//
// What
//===----------------------------------------------------------------------===//

namespace {
/// Which assignments of a routing stay, as i1 `[T, K]`.
class Skipper {
public:
  Skipper(OpBuilder &b, Location loc, Value routing)
      : m(b, loc, routing), b(b), loc(loc), indices(m.getIndices()),
        weights(m.getWeights()),
        element(cast<FloatType>(getElementTypeOrSelf(weights.getType()))) {}

  /// Those whose weight is not below `least` in magnitude.
  void keepWeights(double least);
  /// Those that are not below `ratio` times the largest of their token.
  void keepRatios(double ratio);
  /// The `count` largest of each token.
  void keepLargest(int64_t count);
  /// At least `fraction` of all, the largest; those as large as the last one,
  /// too.
  void keepFraction(double fraction);
  /// Also the `count` largest of each token.
  void alsoLargest(int64_t count);
  /// Those whose weight is not 0.
  void keepNonZero();

  /// The routing of what stays. With `rescale` weights of a token have the sum
  /// that they had.
  Value build(RoutingType type, bool rescale);

private:
  using Body = RoutingMath::Body;
  Type getBitsType() { return b.getIntegerType(element.getWidth()); }
  /// The weights without their signs as integers; -1 in unused slots.
  Value getMagnitudes();
  /// For each assignment how many of its token are larger, or as large and in a
  /// lower slot.
  Value getRanks();
  void narrow(Value mask);
  void widen(Value mask);
  Value isBelow(OpBuilder &nb, Location nl, Value value, Value limit);
  Value constant(OpBuilder &nb, Location nl, double value) {
    return arith::ConstantOp::create(nb, nl, FloatAttr::get(element, value));
  }

  RoutingMath m;
  OpBuilder &b;
  Location loc;
  Value indices, weights;
  FloatType element;
  Value magnitudes, ranks, kept;
};
} // namespace

Value Skipper::getMagnitudes() {
  if (magnitudes)
    return magnitudes;
  Type bits = getBitsType();
  return magnitudes = m.buildElementwise(
             ValueRange{indices, weights}, bits,
             [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
               Value absolute = math::AbsFOp::create(nb, nl, args[1]);
               Value integer = arith::BitcastOp::create(nb, nl, bits, absolute);
               Value zero =
                   arith::ConstantOp::create(nb, nl, nb.getI32IntegerAttr(0));
               Value isUsed = arith::CmpIOp::create(
                   nb, nl, arith::CmpIPredicate::sge, args[0], zero);
               Value none = arith::ConstantOp::create(
                   nb, nl, nb.getIntegerAttr(bits, -1));
               return arith::SelectOp::create(nb, nl, isUsed, integer, none);
             });
}

Value Skipper::getRanks() {
  if (!ranks)
    ranks = m.buildPerSlotCount(
        getMagnitudes(),
        [](OpBuilder &nb, Location nl, Value own, Value other,
           Value isBefore) -> Value {
          Value larger = arith::CmpIOp::create(
              nb, nl, arith::CmpIPredicate::sgt, other, own);
          Value same = arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::eq,
                                             other, own);
          Value tie = arith::AndIOp::create(nb, nl, same, isBefore);
          return arith::OrIOp::create(nb, nl, larger, tie);
        });
  return ranks;
}

void Skipper::narrow(Value mask) {
  kept = kept ? m.buildElementwise(
                    ValueRange{kept, mask}, b.getI1Type(),
                    [](OpBuilder &nb, Location nl, ValueRange args) -> Value {
                      return arith::AndIOp::create(nb, nl, args[0], args[1]);
                    })
              : mask;
}

void Skipper::keepWeights(double least) {
  narrow(m.buildElementwise(
      weights, b.getI1Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        Value size = math::AbsFOp::create(nb, nl, args[0]);
        // Also true of NaN.
        return arith::CmpFOp::create(nb, nl, arith::CmpFPredicate::UGE, size,
                                     constant(nb, nl, least));
      }));
}

void Skipper::keepNonZero() {
  narrow(m.buildElementwise(
      weights, b.getI1Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        return arith::CmpFOp::create(nb, nl, arith::CmpFPredicate::UNE, args[0],
                                     constant(nb, nl, 0.0));
      }));
}

void Skipper::keepRatios(double ratio) {
  Value largest =
      m.buildPerToken(weights, FloatAttr::get(element, 0.0),
                      [](OpBuilder &nb, Location nl, ValueRange args) -> Value {
                        Value size = math::AbsFOp::create(nb, nl, args[0]);
                        return arith::MaximumFOp::create(nb, nl, size, args[1]);
                      });
  narrow(m.buildElementwise(
      ValueRange{weights, largest}, b.getI1Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        Value size = math::AbsFOp::create(nb, nl, args[0]);
        Value limit =
            arith::MulFOp::create(nb, nl, args[1], constant(nb, nl, ratio));
        return arith::CmpFOp::create(nb, nl, arith::CmpFPredicate::UGE, size,
                                     limit);
      }));
}

/// Ranks below `count`.
static Value buildBelow(RoutingMath &m, Value ranks, int64_t count) {
  return m.buildElementwise(
      ranks, m.b.getI1Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        Value limit =
            arith::ConstantOp::create(nb, nl, nb.getI32IntegerAttr(count));
        return arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::slt, args[0],
                                     limit);
      });
}

void Skipper::keepLargest(int64_t count) {
  if (count < m.slots)
    narrow(buildBelow(m, getRanks(), count));
}

void Skipper::alsoLargest(int64_t count) {
  if (count <= 0 || !kept)
    return;
  Value mask = buildBelow(m, getRanks(), std::min(count, m.slots));
  kept = m.buildElementwise(
      ValueRange{kept, mask}, b.getI1Type(),
      [](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        return arith::OrIOp::create(nb, nl, args[0], args[1]);
      });
}

void Skipper::keepFraction(double fraction) {
  // The largest limit that enough magnitudes reach, bit by bit.
  Value sizes = getMagnitudes();
  Type bits = getBitsType(), i32 = b.getI32Type();
  AffineMap all = b.getMultiDimIdentityMap(2);
  auto countFrom = [&](OpBuilder &nb, Value limit) -> Value {
    auto scalar = RankedTensorType::get({}, i32);
    Value zero = arith::ConstantOp::create(nb, loc, nb.getI32IntegerAttr(0));
    Value init = tensor::EmptyOp::create(nb, loc, ArrayRef<int64_t>{}, i32);
    init = linalg::FillOp::create(nb, loc, zero, init).getResult(0);
    Value sum =
        linalg::GenericOp::create(
            nb, loc, scalar, ValueRange{sizes}, ValueRange{init},
            ArrayRef<AffineMap>{all, AffineMap::get(2, 0, nb.getContext())},
            SmallVector<utils::IteratorType>(2, utils::IteratorType::reduction),
            [&](OpBuilder &ib, Location il, ValueRange args) {
              Value is = arith::CmpIOp::create(
                  ib, il, arith::CmpIPredicate::sge, args[0], limit);
              is = arith::ExtUIOp::create(ib, il, i32, is);
              is = arith::AddIOp::create(ib, il, args[1], is);
              linalg::YieldOp::create(ib, il, is);
            })
            .getResult(0);
    return tensor::ExtractOp::create(nb, loc, sum, ValueRange());
  };
  auto integer = [&](OpBuilder &nb, int64_t value) -> Value {
    return arith::ConstantOp::create(nb, loc, nb.getIntegerAttr(bits, value));
  };
  // ceil(fraction * number of assignments), in f64.
  Value number = countFrom(b, integer(b, 0));
  number = arith::SIToFPOp::create(b, loc, b.getF64Type(), number);
  Value share = arith::ConstantOp::create(b, loc, b.getF64FloatAttr(fraction));
  number = arith::MulFOp::create(b, loc, number, share);
  number = math::CeilOp::create(b, loc, number);
  Value needed = arith::FPToSIOp::create(b, loc, i32, number);
  Value first = arith::ConstantIndexOp::create(b, loc, 0);
  Value last = arith::ConstantIndexOp::create(b, loc, element.getWidth() - 1);
  Value step = arith::ConstantIndexOp::create(b, loc, 1);
  auto loop = scf::ForOp::create(
      b, loc, first, last, step,
      ValueRange{integer(b, 0),
                 integer(b, int64_t(1) << (element.getWidth() - 2))},
      [&](OpBuilder &nb, Location nl, Value, ValueRange carried) {
        Value with = arith::OrIOp::create(nb, nl, carried[0], carried[1]);
        Value enough = arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::sge,
                                             countFrom(nb, with), needed);
        Value limit = arith::SelectOp::create(nb, nl, enough, with, carried[0]);
        Value next = arith::ShRUIOp::create(nb, nl, carried[1], integer(nb, 1));
        scf::YieldOp::create(nb, nl, ValueRange{limit, next});
      });
  Value limit = loop.getResult(0);
  narrow(m.buildElementwise(
      sizes, b.getI1Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        return arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::sge, args[0],
                                     limit);
      }));
}

Value Skipper::build(RoutingType type, bool rescale) {
  if (!kept)
    return {};
  Value none = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-1));
  Value now = m.buildElementwise(
      ValueRange{kept, indices}, b.getI32Type(),
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        return arith::SelectOp::create(nb, nl, args[0], args[1], none);
      });
  Value left = m.buildKept(now, weights);
  if (rescale) {
    auto sum = [&](Value values) {
      return m.buildPerToken(
          values, FloatAttr::get(element, 0.0),
          [](OpBuilder &nb, Location nl, ValueRange args) -> Value {
            return arith::AddFOp::create(nb, nl, args[1], args[0]);
          });
    };
    Value before = sum(weights), after = sum(left);
    left = m.buildElementwise(
        ValueRange{left, before, after}, element,
        [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
          // Nothing to share out among weights of zero, and nothing dropped.
          Value same = arith::CmpFOp::create(nb, nl, arith::CmpFPredicate::UEQ,
                                             args[1], args[2]);
          Value zero = arith::CmpFOp::create(nb, nl, arith::CmpFPredicate::OEQ,
                                             args[2], constant(nb, nl, 0.0));
          Value leave = arith::OrIOp::create(nb, nl, same, zero);
          Value factor = arith::DivFOp::create(nb, nl, args[1], args[2]);
          Value scaled = arith::MulFOp::create(nb, nl, args[0], factor);
          return arith::SelectOp::create(nb, nl, leave, args[0], scaled);
        });
  }
  return RoutingMakeOp::create(b, loc, type, now, left, /*trusted=*/true);
}

//===----------------------------------------------------------------------===//
// The passes
//===----------------------------------------------------------------------===//

static void replaceChoice(Value routing, Value now) {
  Operation *made = now.getDefiningOp();
  routing.replaceUsesWithIf(now, [&](OpOperand &use) {
    return usesRows(use.getOwner()) && use.getOwner() != made;
  });
}

namespace {
struct SkipExperts : moe::impl::SkipExpertsBase<SkipExperts> {
  using SkipExpertsBase::SkipExpertsBase;

  LogicalResult checkOptions() {
    auto fail = [&](StringRef what, StringRef expected) {
      return getOperation()->emitError()
             << getArgument() << ": " << what << " has to be " << expected;
    };
    auto isFraction = [](double value) { return value >= 0.0 && value <= 1.0; };
    if (!(minWeight >= 0.0) || std::isinf(double(minWeight)))
      return fail("min-weight", "a number of at least 0");
    if (!isFraction(minRatio))
      return fail("min-ratio", "a fraction of the largest weight, 0 to 1");
    if (maxExperts < 0)
      return fail("max-experts", "at least 1, or 0 for no limit");
    if (minExperts < 0)
      return fail("min-experts", "at least 0");
    if (maxExperts > 0 && minExperts > maxExperts)
      return fail("min-experts", "at most max-experts");
    if (!isFraction(budget))
      return fail("budget", "a fraction of all assignments, 0 to 1");
    if (minWeight == 0.0 && minRatio == 0.0 && maxExperts == 0 && budget == 1.0)
      return fail("one of min-weight, min-ratio, max-experts and budget",
                  "given: nothing would be skipped");
    return success();
  }

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    for (Value routing : findChoices(getOperation())) {
      OpBuilder b(&getContext());
      b.setInsertionPointAfterValue(routing);
      auto type = cast<RoutingType>(routing.getType());
      Skipper skipper(b, routing.getLoc(), routing);
      if (minWeight > 0.0)
        skipper.keepWeights(minWeight);
      if (minRatio > 0.0)
        skipper.keepRatios(minRatio);
      if (maxExperts > 0)
        skipper.keepLargest(maxExperts);
      if (budget < 1.0)
        skipper.keepFraction(budget);
      skipper.alsoLargest(minExperts);
      Value now = skipper.build(type, rescale);
      auto opts = [](StringRef name) {
        return remark::RemarkOpts::name(name).category("moe-skip-experts");
      };
      if (!now) {
        remark::missed(routing.getLoc(), opts("nothing-to-skip"))
            << ("a token has no more than " + std::to_string(type.getSlots()) +
                " experts already");
        continue;
      }
      replaceChoice(routing, now);
      remark::passed(routing.getLoc(), opts("skips"))
          << ("assignments with small weights of " +
              std::to_string(type.getSlots()) +
              " a token have no rows; results change");
    }
  }
};

struct SkipZeroWeights : moe::impl::SkipZeroWeightsBase<SkipZeroWeights> {
  using SkipZeroWeightsBase::SkipZeroWeightsBase;

  /// Why dropping weights of 0 changes a result; empty if it does not.
  static std::string whyNot(Value routing) {
    for (Operation *user : routing.getUsers()) {
      if (auto append = dyn_cast<RoutingAppendOp>(user)) {
        std::string why = whyNot(append.getResult());
        if (!why.empty())
          return why;
      }
      if (auto combine = dyn_cast<CombineOp>(user))
        if (combine.getUnweighted())
          return "a moe.combine adds rows without their weights";
      if (auto expert = dyn_cast<ExpertOp>(user))
        if (expert->walk([](ScanOp) { return WalkResult::interrupt(); })
                .wasInterrupted())
          return "a body has a moe.scan, which would miss the rows";
      if (auto expert = dyn_cast<ExpertOp>(user))
        for (Operation *reader : expert->getUsers())
          if (!isa<CombineOp>(reader))
            return ("the rows of experts are read by " +
                    reader->getName().getStringRef())
                .str();
      if (auto dispatch = dyn_cast<DispatchOp>(user))
        for (Operation *reader : dispatch->getUsers())
          if (!isa<ExpertOp>(reader))
            return ("the rows of tokens are read by " +
                    reader->getName().getStringRef())
                .str();
    }
    return {};
  }

  void runOnOperation() override {
    for (Value routing : findChoices(getOperation())) {
      auto opts = [](StringRef name) {
        return remark::RemarkOpts::name(name).category("moe-skip-zero-weights");
      };
      std::string why = whyNot(routing);
      if (why.empty() && !finiteExperts)
        why =
            "an expert that gives an infinity or NaN would make the sum NaN "
            "even with a weight of 0; finite-experts=true says that none does";
      if (!why.empty()) {
        remark::missed(routing.getLoc(), opts("not-skipped"))
            << ("weights of 0 have rows: " + why);
        continue;
      }
      OpBuilder b(&getContext());
      b.setInsertionPointAfterValue(routing);
      Skipper skipper(b, routing.getLoc(), routing);
      skipper.keepNonZero();
      replaceChoice(routing, skipper.build(cast<RoutingType>(routing.getType()),
                                           /*rescale=*/false));
      remark::passed(routing.getLoc(), opts("skips"))
          << "weights of 0 have no rows";
    }
  }
};
} // namespace
