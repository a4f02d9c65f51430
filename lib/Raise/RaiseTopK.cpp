//===- RaiseTopK.cpp - Top-k that is counted ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What moe-lower-to-linalg makes of a top-k: the rank of each score is a number
// of comparisons, and slot k holds the place of rank k. Both bodies are run on
// numbers of every order, not compared with a text.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Raise/Upstream.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

#include <cmath>
#include <limits>

namespace moe {
#define GEN_PASS_DEF_RAISETOPK
#include "moe-mlir/Raise/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe::raise;

/// What a body adds to an accumulator of 0, given its inputs and the indices of
/// its loops; nothing if it is not an integer that can be computed.
static std::optional<int64_t> run(Block &body, ArrayRef<Attribute> inputs,
                                  ArrayRef<int64_t> loops) {
  Builder b(body.getParentOp()->getContext());
  DenseMap<Value, Attribute> values;
  for (auto [argument, input] : llvm::zip(body.getArguments(), inputs))
    values[argument] = input;
  values[body.getArguments().back()] =
      b.getIntegerAttr(body.getArguments().back().getType(), 0);
  auto get = [&](Value value) {
    Attribute known = values.lookup(value);
    if (!known)
      matchPattern(value, m_Constant(&known));
    return known;
  };
  for (Operation &op : body.without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      values[index] = b.getIndexAttr(loops[index.getDim()]);
      continue;
    }
    SmallVector<Attribute> operands;
    for (Value operand : op.getOperands())
      operands.push_back(get(operand));
    // Scores enter by comparisons of them alone, and nothing but 0 is compared
    // or added: whatever holds for a few numbers holds for all in their order.
    bool isPlain =
        isa<arith::CmpIOp, arith::AndIOp, arith::OrIOp, arith::SelectOp,
            arith::ExtUIOp, arith::AddIOp, arith::IndexCastOp, arith::CmpFOp,
            arith::ConstantOp>(op);
    if (auto compare = dyn_cast<arith::CmpFOp>(op))
      isPlain = isa<BlockArgument>(compare.getLhs()) &&
                isa<BlockArgument>(compare.getRhs());
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      isPlain = matchPattern(constant.getResult(), m_Zero());
    for (Value operand : op.getOperands())
      if (Operation *def = operand.getDefiningOp();
          def && def->getBlock() != &body)
        isPlain &= matchPattern(operand, m_Zero());
    SmallVector<OpFoldResult> folded;
    if (!isPlain || llvm::is_contained(operands, Attribute()) ||
        op.getNumResults() != 1)
      return std::nullopt;
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      values[op.getResult(0)] = constant.getValue();
      continue;
    }
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      values[op.getResult(0)] =
          cast<IntegerAttr>(operands[0]).getValue().isZero() ? operands[2]
                                                             : operands[1];
      continue;
    }
    if (failed(op.fold(operands, folded)))
      return std::nullopt;
    Attribute result =
        folded.empty() ? operands.front() : dyn_cast<Attribute>(folded.front());
    if (!folded.empty() && !result)
      result = get(cast<Value>(folded.front()));
    if (!result)
      return std::nullopt;
    values[op.getResult(0)] = result;
  }
  auto result =
      dyn_cast_or_null<IntegerAttr>(get(body.getTerminator()->getOperand(0)));
  return result ? std::optional(result.getInt()) : std::nullopt;
}

/// A sum of integers over the last of three loops, from 0.
static bool isCount(linalg::GenericOp op, ArrayRef<ArrayRef<unsigned>> inputs) {
  if (!op || op.getNumLoops() != 3 || op.getNumReductionLoops() != 1 ||
      op.getIteratorTypesArray().back() != utils::IteratorType::reduction ||
      op.getNumDpsInits() != 1 || op.getNumDpsInputs() != inputs.size())
    return false;
  auto fill = op.getDpsInitOperand(0)->get().getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.getInputs().front(), m_Zero()))
    return false;
  auto reads = [&](OpOperand *operand, ArrayRef<unsigned> dims) {
    return op.getMatchingIndexingMap(operand) ==
           AffineMap::getMultiDimMapWithTargets(3, dims, op.getContext());
  };
  for (auto [operand, dims] : llvm::zip_equal(op.getDpsInputOperands(), inputs))
    if (!reads(operand, dims))
      return false;
  return reads(op.getDpsInitOperand(0), {0, 1});
}

/// The scores [T, E] that `ranks` has the ranks of.
static Value matchRanks(Value ranks) {
  auto op = ranks.getDefiningOp<linalg::GenericOp>();
  if (!isCount(op, {{0, 1}, {0, 2}}) || op.getInputs()[0] != op.getInputs()[1])
    return {};
  Value scores = op.getInputs()[0];
  auto element = dyn_cast<FloatType>(getElementTypeOrSelf(scores.getType()));
  if (!element || !(element.isF32() || element.isF64()))
    return {};
  double infinity = std::numeric_limits<double>::infinity();
  double samples[] = {std::nan(""), -infinity, -1, -0.0, 0.0, 1, infinity};
  for (double own : samples)
    for (double other : samples)
      for (int64_t e = 0; e < 3; ++e)
        for (int64_t o = 0; o < 3; ++o) {
          bool isBehind = std::isnan(own) && !std::isnan(other);
          bool isEqual = own == other || (std::isnan(own) && std::isnan(other));
          bool expected = isBehind || other > own || (isEqual && o < e);
          Attribute inputs[] = {FloatAttr::get(element, own),
                                FloatAttr::get(element, other)};
          if (run(*op.getBlock(), inputs, {0, e, o}) != expected)
            return {};
        }
  return scores;
}

/// The scores of which `op` lists the best places of each row, best first.
static Value matchList(linalg::GenericOp op) {
  if (!isCount(op, {{0, 2}}) ||
      ShapedType::isDynamic(op.getShape(op.getDpsInitOperand(0))[1]))
    return {};
  Type element = getElementTypeOrSelf(op.getInputs()[0].getType());
  if (!element.isInteger(32) ||
      !getElementTypeOrSelf(op.getResult(0).getType()).isInteger(32))
    return {};
  for (int64_t rank = 0; rank < 4; ++rank)
    for (int64_t k = 0; k < 4; ++k)
      for (int64_t e = 0; e < 4; ++e)
        if (run(*op.getBlock(), IntegerAttr::get(element, rank), {0, k, e}) !=
            (rank == k ? e : 0))
          return {};
  return matchRanks(op.getInputs()[0]);
}

namespace {
struct RaiseTopK : moe::impl::RaiseTopKBase<RaiseTopK> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    for (linalg::GenericOp op : ops) {
      Value scores = matchList(op);
      if (!scores)
        continue;
      OpBuilder b(op);
      Upstream up(b, op.getLoc());
      int64_t k = op.getShape(op.getDpsInitOperand(0))[1];
      Value places = up.topK(scores, k, b.getI32Type()).second;
      if (places.getType() != op.getResult(0).getType())
        places = tensor::CastOp::create(b, op.getLoc(),
                                        op.getResult(0).getType(), places);
      op.getResult(0).replaceAllUsesWith(places);
    }
  }
};
} // namespace
