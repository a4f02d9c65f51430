//===- NormalizeLinalg.cpp - linalg as exporters write it --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// torch-mlir keeps reduced dimensions as ones, which outputs are written to at
// index 0, broadcasts by looking whether a size is 1 when the program runs, and
// computes places of maxima that nobody reads.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Foreign.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace moe::raise;

/// The dimensions that an output writes at index 0 alone.
static llvm::SmallBitVector findConstantDims(AffineMap map,
                                             RankedTensorType type) {
  llvm::SmallBitVector dims(map.getNumResults());
  for (auto [d, expr] : llvm::enumerate(map.getResults())) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (constant && constant.getValue() == 0 && type.getDimSize(d) == 1)
      dims.set(d);
  }
  return dims;
}

/// Groups of dimensions such that each has one that stays.
static SmallVector<ReassociationIndices>
groupDims(const llvm::SmallBitVector &dropped) {
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices waiting;
  for (unsigned d = 0; d < dropped.size(); ++d) {
    waiting.push_back(d);
    if (!dropped.test(d)) {
      groups.push_back(waiting);
      waiting.clear();
    }
  }
  if (!groups.empty())
    groups.back().append(waiting);
  return groups;
}

/// An op whose outputs lack those dimensions, and their results with them.
static void dropUnitOutputs(linalg::GenericOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<Value> outputs;
  SmallVector<llvm::SmallBitVector> dropped;
  bool any = false;
  for (OpOperand &init : op.getDpsInitsMutable()) {
    auto type = dyn_cast<RankedTensorType>(init.get().getType());
    if (!type)
      return;
    AffineMap &map = maps[init.getOperandNumber()];
    dropped.push_back(findConstantDims(map, type));
    any |= dropped.back().any();
    Value output = init.get();
    if (dropped.back().any()) {
      SmallVector<AffineExpr> kept;
      SmallVector<int64_t> shape;
      for (unsigned d = 0; d < dropped.back().size(); ++d)
        if (!dropped.back().test(d)) {
          kept.push_back(map.getResult(d));
          shape.push_back(type.getDimSize(d));
        }
      map = AffineMap::get(map.getNumDims(), 0, kept, b.getContext());
      output = tensor::CollapseShapeOp::create(
          b, loc, RankedTensorType::get(shape, type.getElementType()), output,
          groupDims(dropped.back()));
    }
    outputs.push_back(output);
  }
  if (!any)
    return;
  SmallVector<Type> types;
  for (Value output : outputs)
    types.push_back(output.getType());
  auto narrow = linalg::GenericOp::create(
      b, loc, types, op.getInputs(), outputs, maps, op.getIteratorTypesArray());
  narrow.getRegion().takeBody(op.getRegion());
  for (auto [init, drop, before, after] : llvm::zip_equal(
           op.getOutputs(), dropped, op.getResults(), narrow.getResults())) {
    Value result = after;
    if (drop.any())
      result = tensor::ExpandShapeOp::create(
          b, loc, cast<RankedTensorType>(before.getType()), after,
          groupDims(drop), tensor::getMixedSizes(b, loc, init));
    before.replaceAllUsesWith(result);
  }
  op.erase();
}

/// select(n == 1, 0, i) is i where n is the number of values that i has.
static void readThroughSizes(linalg::GenericOp op) {
  auto getExtent = [&](unsigned loop) -> OpFoldResult {
    for (OpOperand &init : op.getDpsInitsMutable()) {
      auto empty = init.get().getDefiningOp<tensor::EmptyOp>();
      AffineMap map = op.getMatchingIndexingMap(&init);
      if (!empty)
        continue;
      for (auto [d, expr] : llvm::enumerate(map.getResults()))
        if (expr == getAffineDimExpr(loop, op.getContext()))
          return empty.getMixedSizes()[d];
    }
    return {};
  };
  op.getRegion().walk([&](arith::SelectOp select) {
    auto index = select.getFalseValue().getDefiningOp<linalg::IndexOp>();
    auto compare = select.getCondition().getDefiningOp<arith::CmpIOp>();
    if (!index || !compare ||
        compare.getPredicate() != arith::CmpIPredicate::eq ||
        !matchPattern(select.getTrueValue(), m_Zero()) ||
        !matchPattern(compare.getRhs(), m_One()))
      return;
    OpFoldResult extent = getExtent(index.getDim());
    if (extent && dyn_cast<Value>(extent) == compare.getLhs())
      select.replaceAllUsesWith(index.getResult());
  });
}

void moe::raise::normalizeLinalg(func::FuncOp func) {
  // A maximum comes with its place, which nobody asks for as a rule.
  // Other ops stay as they are: what those of Upstream mean is said by operands
  // that their bodies do not use.
  RewritePatternSet patterns(func.getContext());
  linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
  SmallVector<Operation *> withPlaces;
  func.walk([&](linalg::GenericOp op) {
    if (op->getNumResults() > 1)
      withPlaces.push_back(op);
  });
  (void)applyOpPatternsGreedily(withPlaces, std::move(patterns));
  SmallVector<linalg::GenericOp> ops;
  func.walk([&](linalg::GenericOp op) { ops.push_back(op); });
  for (linalg::GenericOp op : ops) {
    readThroughSizes(op);
    dropUnitOutputs(op);
  }
}
