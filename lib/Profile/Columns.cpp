//===- Columns.cpp - Some columns of a tensor -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Columns.h"

#include "moe-mlir/Transforms/SomeExperts.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using namespace moe::profile;

/// `type` with as many indices of a dimension.
static RankedTensorType resize(Type type, int64_t dim, int64_t size) {
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> shape(tensor.getShape());
  shape[dim] = size;
  return tensor.clone(shape);
}

/// The dimension of `map`'s results that is loop `loop`: nothing if there is
/// none; a failure if it is in more than one, or in an expression.
static FailureOr<std::optional<int64_t>> findDim(AffineMap map, unsigned loop) {
  std::optional<int64_t> found;
  for (auto [i, result] : llvm::enumerate(map.getResults())) {
    if (!result.isFunctionOfDim(loop))
      continue;
    if (found || !isa<AffineDimExpr>(result))
      return failure();
    found = i;
  }
  return found;
}

Value ColumnTaker::takeOfOp(Operation *op, Value value, int64_t dim) {
  auto number = static_cast<int64_t>(kept.size());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
    b.setInsertionPoint(op);
    return tensor::EmptyOp::create(b, op->getLoc(),
                                   resize(empty.getType(), dim, number),
                                   empty.getDynamicSizes());
  }
  // The other results, if there are any, would be computed twice.
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || op->getNumResults() != 1 || linalgOp.hasIndexSemantics())
    return {};
  OpOperand *init = linalgOp.getDpsInitOperand(0);
  auto loopExpr = dyn_cast<AffineDimExpr>(
      linalgOp.getMatchingIndexingMap(init).getResult(dim));
  if (!loopExpr)
    return {};
  unsigned loop = loopExpr.getPosition();
  if (linalgOp.getIteratorTypesArray()[loop] != utils::IteratorType::parallel)
    return {};
  SmallVector<std::pair<Value, std::optional<int64_t>>> parts;
  for (OpOperand &operand : op->getOpOperands()) {
    FailureOr<std::optional<int64_t>> at =
        findDim(linalgOp.getMatchingIndexingMap(&operand), loop);
    if (failed(at))
      return {};
    parts.push_back({operand.get(), *at});
  }
  SmallVector<Value> operands;
  for (auto [part, at] : parts)
    operands.push_back(at ? take(part, *at) : part);
  b.setInsertionPoint(op);
  Operation *clone =
      mlir::clone(b, op, {resize(value.getType(), dim, number)}, operands);
  return clone->getResult(0);
}

Value ColumnTaker::take(Value value, int64_t dim) {
  auto [it, isNew] = taken.try_emplace({value, dim});
  if (!isNew)
    return it->second;
  Operation *op = value.getDefiningOp();
  Value result = op ? takeOfOp(op, value, dim) : Value();
  if (!result) {
    b.setInsertionPointAfterValue(value);
    result = buildParts(b, value.getLoc(), value, dim, kept);
  }
  return taken[{value, dim}] = result;
}
