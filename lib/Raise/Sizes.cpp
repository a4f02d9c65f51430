//===- Sizes.cpp - Sizes that are not known, and rows of them ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A size that is not known is the same wherever it is asked for: that of the
// argument that it comes from. What lists the places of a tensor goes over its
// rows and columns, then, also if it is not known how many they are.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Elements.h"

#include "moe/Moe.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace moe;
using namespace moe::raise;

/// The first op of a function that asks for the size of an argument.
static tensor::DimOp findQuestion(BlockArgument argument, int64_t dim) {
  tensor::DimOp first;
  for (Operation *user : argument.getUsers())
    if (auto op = dyn_cast<tensor::DimOp>(user))
      if (op.getConstantIndex() == dim &&
          op->getBlock() == argument.getOwner() &&
          (!first || op->isBeforeInBlock(first)))
        first = op;
  return first;
}

/// An integer outside of loops: a size, or what is computed of sizes.
const Expr *Elements::readSize(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto dim = dyn_cast_or_null<tensor::DimOp>(op)) {
    std::optional<int64_t> which = dim.getConstantIndex();
    if (which && isa<RankedTensorType>(dim.getSource().getType()))
      if (const Expr *known = size(dim.getSource(), *which))
        return known;
    return exprs.load(value, {}, Interval{0, INT32_MAX});
  }
  if (auto apply = dyn_cast_or_null<affine::AffineApplyOp>(op)) {
    // Inside of a loop it would be another number each time.
    if (isa<linalg::LinalgOp>(op->getParentOp()))
      return nullptr;
    SmallVector<const Expr *> operands;
    for (Value operand : apply.getMapOperands())
      operands.push_back(readSize(operand));
    AffineMap map = apply.getAffineMap();
    SmallVector<AffineExpr> symbols;
    for (unsigned i = 0; i < map.getNumSymbols(); ++i)
      symbols.push_back(
          getAffineDimExpr(map.getNumDims() + i, value.getContext()));
    if (!llvm::is_contained(operands, nullptr))
      if (const Expr *result =
              evaluate(map.getResult(0).replaceSymbols(symbols), operands))
        return result;
    return exprs.load(value, {});
  }
  llvm::DenseMap<Value, const Expr *> none;
  return evaluateScalar(value, none, {});
}

const Expr *Elements::size(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return number(type.getDimSize(dim));
  auto read = [&](OpFoldResult size) {
    std::optional<int64_t> known = getConstantIntValue(size);
    return known ? number(*known) : readSize(cast<Value>(size));
  };
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    tensor::DimOp question = findQuestion(argument, dim);
    return question ? exprs.load(question, {}, Interval{0, INT32_MAX})
                    : nullptr;
  }
  Operation *op = tensor.getDefiningOp();
  if (auto written = dyn_cast<DestinationStyleOpInterface>(op))
    return size(written.getDpsInits()[cast<OpResult>(tensor).getResultNumber()],
                dim);
  if (isa<RoutingIndicesOp, RoutingWeightsOp>(op)) {
    auto router = op->getOperand(0).getDefiningOp<RouterOp>();
    return router ? size(router.getSelect(), 0) : nullptr;
  }
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return read(empty.getMixedSizes()[dim]);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return isa<RankedTensorType>(cast.getSource().getType())
               ? size(cast.getSource(), dim)
               : nullptr;
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return read(expand.getMixedOutputShape()[dim]);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [d, own] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(d) && dim-- == 0)
        return read(own);
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op)) {
    // One that is not known, and others.
    const Expr *unknown = nullptr;
    int64_t scale = 1;
    for (int64_t d : collapse.getReassociationIndices()[dim]) {
      const Expr *own = size(collapse.getSrc(), d);
      if (!own)
        return nullptr;
      if (std::optional<int64_t> known = own->getInteger()) {
        scale *= *known;
        continue;
      }
      if (unknown)
        return nullptr;
      unknown = own;
    }
    return exprs.scale(unknown ? unknown : number(1), scale);
  }
  return nullptr;
}

/// Remembers how many values a variable has, and rows and columns of one that
/// goes over all places of an input [rows, columns].
void Elements::noteRows(linalg::LinalgOp op, unsigned loop,
                        const Expr *variable) {
  if (!ShapedType::isDynamic(variable->extent))
    return;
  AffineExpr index = getAffineDimExpr(loop, op.getContext());
  for (OpOperand *input : op.getDpsInputOperands()) {
    std::optional<unsigned> at =
        op.getMatchingIndexingMap(input).getResultPosition(index);
    if (!at || exprs.getSize(variable))
      continue;
    if (const Expr *known = size(input->get(), *at))
      exprs.setSize(variable, known);
  }
  for (OpOperand *input : op.getDpsInputOperands()) {
    auto collapse = input->get().getDefiningOp<tensor::CollapseShapeOp>();
    AffineMap map = op.getMatchingIndexingMap(input);
    if (!collapse || map.getNumResults() != 1 || map.getResult(0) != index ||
        collapse.getSrcType().getRank() != 2)
      continue;
    const Expr *rows = size(collapse.getSrc(), 0),
               *columns = size(collapse.getSrc(), 1);
    if (rows && columns) {
      rowsOf[variable] = {rows, columns};
      return;
    }
  }
}

std::optional<Row> Elements::findRow(const Expr *at, const Expr *which,
                                     const Expr *place) {
  if (which->dependsOn(place))
    return std::nullopt;
  if (at == place) {
    const Expr *size = exprs.getSize(place);
    if (size && exprs.isBelow(which, size))
      return Row{which, nullptr};
    return std::nullopt;
  }
  auto known = rowsOf.find(place);
  if (known != rowsOf.end() && !known->second.second->getInteger()) {
    auto [rows, columns] = known->second;
    std::optional<int64_t> count = rows->getInteger();
    if (!count || !at->is("arith.remui") || (*at)[0] != place ||
        (*at)[1] != columns || !exprs.isBelow(which, columns))
      return std::nullopt;
    const Expr *row = exprs.variable(*count);
    const Expr *begin =
        exprs.apply("arith.muli", columns->type, {row, columns});
    return Row{exprs.add(begin, which), row};
  }
  if (known != rowsOf.end()) {
    // Rows of a known size, as many as there are.
    auto [rows, columns] = known->second;
    int64_t by = *columns->getInteger();
    if (at != exprs.floorDiv(place, by) || !exprs.isBelow(which, rows))
      return std::nullopt;
    const Expr *column = exprs.variable(by);
    return Row{exprs.linear(which, by, column, 1), column};
  }
  int64_t count = place->extent;
  // The size of a row, from a quotient.
  const Expr *quotient = at->is("floordiv") ? at : nullptr;
  if (at->kind == Expr::Linear)
    for (const Expr *term : at->operands)
      if (term->is("floordiv"))
        quotient = term;
  if (ShapedType::isDynamic(count) || !quotient || (*quotient)[0] != place)
    return std::nullopt;
  int64_t by = cast<IntegerAttr>(quotient->value).getInt();
  if (count % by)
    return std::nullopt;
  if (at == exprs.mod(place, by) && exprs.isBelow(which, number(by))) {
    const Expr *row = exprs.variable(count / by);
    return Row{exprs.linear(row, by, which, 1), row};
  }
  if (at == quotient && exprs.isBelow(which, number(count / by))) {
    const Expr *column = exprs.variable(by);
    return Row{exprs.linear(which, by, column, 1), column};
  }
  return std::nullopt;
}
