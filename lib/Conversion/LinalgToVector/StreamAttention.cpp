//===- StreamAttention.cpp - Attention that keeps no scores -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// softmax(queries keys^T ...) values, as models write it, holds a score for
// each query and key. Blocks of queries can instead go over the keys once, with
// the largest score so far, the sum of exponentials below it and the values
// that these weigh; what was added before is scaled down whenever a larger
// score comes (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., arXiv
// 2205.14135).
//
//===----------------------------------------------------------------------===//

#include "Attention.h"

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Iterators.h"
#include "mlir/IR/Remarks.h"

namespace moe {
#define GEN_PASS_DEF_STREAMATTENTION
#include "moe-mlir/Conversion/LinalgToVector/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::linalg_to_vector;
using linalg::LinalgOp;

static constexpr llvm::StringLiteral kPassName = "moe-stream-attention";

/// Queries and keys of a tile: its scores, keys and values stay in the cache of
/// the first level, and frames of threads stay small.
static constexpr int64_t kQueries = 32;
static constexpr int64_t kKeys = 64;

/// Where the tile is, by the loops of `step`: roles of one iteration are
/// dropped, and columns are all there.
TilePlace Attention::getPlace(const Step &step) const {
  TilePlace place;
  LinalgOp op = step.op;
  OpBuilder b(op);
  for (auto [loop, role] : llvm::enumerate(step.roles)) {
    if (role < 0) {
      place.offsets.push_back(b.getIndexAttr(0));
      place.sizes.push_back(b.getIndexAttr(op.getStaticLoopRanges()[loop]));
    } else {
      place.offsets.push_back(offsets[role]);
      place.sizes.push_back(sizes[role]);
    }
    place.kept.push_back(role < 0 || role == query || role == key);
  }
  return place;
}

static Value buildEmpty(OpBuilder &b, Location loc,
                        ArrayRef<OpFoldResult> sizes) {
  return tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
}

static Value buildFilled(OpBuilder &b, Location loc,
                         ArrayRef<OpFoldResult> sizes, double number) {
  Value scalar = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(number));
  return linalg::FillOp::create(b, loc, scalar, buildEmpty(b, loc, sizes))
      .getResult(0);
}

/// An elementwise op, or a reduction in the loops that `maps` end without.
static Value
buildGeneric(OpBuilder &b, Location loc, ValueRange inputs, Value output,
             ArrayRef<AffineMap> maps,
             function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  SmallVector<utils::IteratorType> kinds;
  for (unsigned loop = 0; loop < maps.back().getNumDims(); ++loop)
    kinds.push_back(maps.back().isFunctionOfDim(loop)
                        ? utils::IteratorType::parallel
                        : utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             b, loc, output.getType(), inputs, output, maps, kinds,
             [&](OpBuilder &nested, Location at, ValueRange arguments) {
               linalg::YieldOp::create(nested, at, body(nested, at, arguments));
             })
      .getResult(0);
}

/// What exponents are relative to: 0 where all scores so far are -infinity.
static Value buildShift(OpBuilder &b, Location loc, Value largest) {
  auto constant = [&](double number) -> Value {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(number));
  };
  Value none =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, largest,
                            constant(-std::numeric_limits<double>::infinity()));
  return arith::SelectOp::create(b, loc, none, constant(0), largest);
}

static Value buildExp(OpBuilder &b, Location loc, Value x, Value shift) {
  return math::ExpOp::create(b, loc, arith::SubFOp::create(b, loc, x, shift));
}

/// The scores of a tile, as softmax would read them.
Value Attention::buildScores(OpBuilder &b, Location loc) {
  TileBuilder tiles(b);
  // From the products on.
  SmallVector<Step> steps{products};
  llvm::append_range(steps, llvm::reverse(chain));
  Value scores;
  for (Step &step : steps) {
    scores = tiles.build(step.op, getPlace(step));
    // Its dimensions by role.
    SmallVector<AffineExpr> results;
    for (AffineExpr loop : step.op.getIndexingMapsArray().back().getResults()) {
      int64_t role = step.roles[cast<AffineDimExpr>(loop).getPosition()];
      if (role == static_cast<int64_t>(query))
        results.push_back(b.getAffineDimExpr(0));
      else if (role == static_cast<int64_t>(key))
        results.push_back(b.getAffineDimExpr(1));
    }
    scoreMap = AffineMap::get(2, 0, results, b.getContext());
    tiles.setTile(step.op->getResult(0), scores);
  }
  return scores;
}

/// The state after the keys of a tile: the largest scores, the sums of
/// exponentials, and the weighed values.
SmallVector<Value> Attention::buildStep(OpBuilder &b, Location loc,
                                        ValueRange state) {
  MLIRContext *context = b.getContext();
  Value largest = state[0], total = state[1], weighed = state[2];
  Value scores = buildScores(b, loc);
  AffineMap one = b.getMultiDimIdentityMap(1);
  AffineMap row = AffineMap::get(2, 0, {b.getAffineDimExpr(0)}, context);
  auto max = [](OpBuilder &nested, Location at, ValueRange v) -> Value {
    return arith::MaximumFOp::create(nested, at, v[1], v[0]);
  };
  OpFoldResult rows = sizes[query];
  Value own = buildGeneric(
      b, loc, scores,
      buildFilled(b, loc, rows, -std::numeric_limits<double>::infinity()),
      {scoreMap, row}, max);
  Value scale = buildGeneric(
      b, loc, {largest, own}, buildEmpty(b, loc, rows), {one, one, one},
      [](OpBuilder &nested, Location at, ValueRange v) -> Value {
        Value now = arith::MaximumFOp::create(nested, at, v[0], v[1]);
        return buildExp(nested, at, v[0], buildShift(nested, at, now));
      });
  largest = buildGeneric(b, loc, own, largest, {one, one}, max);
  Value shares = buildGeneric(
      b, loc, largest, scores, {row, scoreMap},
      [](OpBuilder &nested, Location at, ValueRange v) -> Value {
        return buildExp(nested, at, v[1], buildShift(nested, at, v[0]));
      });
  auto multiply = [](OpBuilder &nested, Location at, ValueRange v) -> Value {
    return arith::MulFOp::create(nested, at, v[1], v[0]);
  };
  auto add = [](OpBuilder &nested, Location at, ValueRange v) -> Value {
    return arith::AddFOp::create(nested, at, v[1], v[0]);
  };
  total = buildGeneric(b, loc, scale, total, {one, one}, multiply);
  total = buildGeneric(b, loc, shares, total, {scoreMap, row}, add);
  weighed = buildGeneric(b, loc, scale, weighed, {row, sumMap}, multiply);
  // The product with values, into what was there.
  TileBuilder tiles(b);
  tiles.setTile(softmax->getResult(0), shares);
  SmallVector<AffineExpr> dims;
  for (unsigned loop : resultLoops)
    if (loop == column || sums.roles[loop] == static_cast<int64_t>(query))
      dims.push_back(b.getAffineDimExpr(loop));
  tiles.setTile(sums.op.getDpsInits()[0], weighed,
                AffineMap::get(sums.op.getNumLoops(), 0, dims, context));
  weighed = tiles.build(sums.op, getPlace(sums));
  return {largest, total, weighed};
}

void Attention::rewrite(RewriterBase &b) {
  Location loc = softmax.getLoc();
  b.setInsertionPoint(result);
  // How many there are of each role.
  unsigned numRoles = cast<ShapedType>(softmax.getInput().getType()).getRank();
  SmallVector<OpFoldResult> counts(numRoles);
  SmallVector<Range> ranges = products.op.createLoopRanges(b, loc);
  for (auto [loop, role] : llvm::enumerate(products.roles))
    if (role >= 0)
      counts[role] = ranges[loop].size;
  OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
  SmallVector<OpFoldResult> resultSizes;
  SmallVector<int64_t> loopRoles = sums.roles;
  for (unsigned loop : resultLoops)
    resultSizes.push_back(loop == column ? b.getIndexAttr(numColumns)
                                         : counts[loopRoles[loop]]);
  // Which of the two is first among the dimensions of the result.
  bool rowsFirst = true;
  for (unsigned loop : resultLoops) {
    if (loop == column || loopRoles[loop] == static_cast<int64_t>(query)) {
      rowsFirst = loop != column;
      break;
    }
  }

  // Items: all roles but that of keys, and blocks of queries.
  SmallVector<unsigned> items;
  SmallVector<OpFoldResult> lower, upper, step;
  for (unsigned role = 0; role < numRoles; ++role) {
    if (role == key)
      continue;
    items.push_back(role);
    lower.push_back(zero);
    upper.push_back(counts[role]);
    step.push_back(role == query ? b.getIndexAttr(kQueries) : one);
  }
  Value all = buildEmpty(b, loc, resultSizes);
  auto forall = scf::ForallOp::create(b, loc, lower, upper, step,
                                      ValueRange{all}, std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  AffineExpr d0 = b.getAffineDimExpr(0), s0 = b.getAffineSymbolExpr(0);
  auto buildSize = [&](int64_t block, OpFoldResult end, Value first) {
    AffineMap map = AffineMap::get(
        1, 1, {b.getAffineConstantExpr(block), s0 - d0}, b.getContext());
    return OpFoldResult(affine::AffineMinOp::create(
        b, loc, map,
        ValueRange{first, getValueOrCreateConstantIndexOp(b, loc, end)}));
  };
  offsets.assign(numRoles, zero);
  sizes.assign(numRoles, one);
  for (auto [role, iv] : llvm::zip_equal(items, forall.getInductionVars()))
    offsets[role] = iv;
  sizes[query] =
      buildSize(kQueries, counts[query], cast<Value>(offsets[query]));

  OpFoldResult rows = sizes[query], columns = b.getIndexAttr(numColumns);
  AffineExpr d1 = b.getAffineDimExpr(1);
  sumMap = AffineMap::get(2, 0,
                          rowsFirst ? ArrayRef<AffineExpr>{d0, d1}
                                    : ArrayRef<AffineExpr>{d1, d0},
                          b.getContext());
  SmallVector<OpFoldResult> sumSizes = {rows, columns};
  if (!rowsFirst)
    std::swap(sumSizes[0], sumSizes[1]);
  Value start[] = {
      buildFilled(b, loc, rows, -std::numeric_limits<double>::infinity()),
      buildFilled(b, loc, rows, 0), buildFilled(b, loc, sumSizes, 0)};
  Value numKeys = getValueOrCreateConstantIndexOp(b, loc, counts[key]);
  Value begin = arith::ConstantIndexOp::create(b, loc, 0);
  auto loop =
      scf::ForOp::create(b, loc, begin, numKeys,
                         arith::ConstantIndexOp::create(b, loc, kKeys), start);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    offsets[key] = loop.getInductionVar();
    sizes[key] = buildSize(kKeys, counts[key], loop.getInductionVar());
    SmallVector<Value> next = buildStep(b, loc, loop.getRegionIterArgs());
    scf::YieldOp::create(b, loc, next);
  }
  // Without keys nothing is summed, and nothing divided.
  Value isEmpty =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, numKeys, begin);
  AffineMap row = AffineMap::get(2, 0, {d0}, b.getContext());
  Value quotient = buildGeneric(
      b, loc, loop.getResult(1), loop.getResult(2), {row, sumMap},
      [&](OpBuilder &nested, Location at, ValueRange v) -> Value {
        Value divided = arith::DivFOp::create(nested, at, v[1], v[0]);
        return arith::SelectOp::create(nested, at, isEmpty, v[1], divided);
      });
  SmallVector<OpFoldResult> places, extents;
  for (unsigned own : resultLoops) {
    places.push_back(own == column ? zero : offsets[loopRoles[own]]);
    extents.push_back(own == column ? columns : sizes[loopRoles[own]]);
  }
  b.setInsertionPointToEnd(forall.getTerminator().getBody());
  tensor::ParallelInsertSliceOp::create(
      b, loc, quotient, forall.getRegionIterArgs()[0], places, extents,
      SmallVector<OpFoldResult>(places.size(), one));

  b.setInsertionPointAfter(forall);
  Value replacement = forall.getResult(0);
  Type type = result->getResult(0).getType();
  if (replacement.getType() != type)
    replacement = tensor::CastOp::create(b, loc, type, replacement);
  b.replaceAllUsesWith(result->getResult(0), replacement);
}

namespace {
struct StreamAttention : moe::impl::StreamAttentionBase<StreamAttention> {
  void runOnOperation() override {
    SmallVector<linalg::SoftmaxOp> ops;
    getOperation()->walk([&](linalg::SoftmaxOp op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (linalg::SoftmaxOp op : ops) {
      std::string why;
      Attention attention(op);
      auto opts = [](StringRef name) {
        return remark::RemarkOpts::name(name).category(kPassName);
      };
      if (attention.match(why)) {
        remark::passed(op.getLoc(), opts("streamed"))
            << "attention goes over its keys once and keeps no scores";
        attention.rewrite(rewriter);
      } else if (!why.empty()) {
        remark::missed(op.getLoc(), opts("not-streamed"))
            << ("all scores of attention are stored: " + why);
      }
    }
    // Users first.
    getOperation()->walk<WalkOrder::PostOrder, ReverseIterator>(
        [](Operation *op) {
          if (isOpTriviallyDead(op))
            op->erase();
        });
  }
};
} // namespace
