//===- ExactZeros.cpp - What is 0 and not only near it ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An op that compares, such as a maximum with a constant or a choice of one,
// has a number for a whole range of inputs. For these inputs what reads it is
// known as far as it reads nothing else: numbers of one such op are folded
// together, those of different ops are for different inputs.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/ExactZeros.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace moe;

namespace {

/// What is known of a value.
struct Numbers {
  /// What it always is.
  std::optional<APFloat> constant;
  /// What it is where an op compares one way.
  SmallVector<std::pair<Operation *, APFloat>> sometimes;

  void add(Operation *where, const APFloat &number) {
    if (!number.isNaN())
      sometimes.emplace_back(where, number);
  }
  void addAll(const Numbers &other) {
    llvm::append_range(sometimes, other.sometimes);
  }
  /// What it is where `op` decided so, or always.
  std::optional<APFloat> at(Operation *where) const {
    if (constant)
      return constant;
    for (const auto &[op, number] : sometimes)
      if (op == where)
        return number;
    return std::nullopt;
  }
};

class NumberFinder {
public:
  explicit NumberFinder(MLIRContext *context) : b(context) {
    b.setInsertionPointToEnd(&scratch);
  }
  ~NumberFinder() { scratch.dropAllReferences(); }

  bool isSometimesZero(Value value) {
    Numbers numbers = find(value);
    return llvm::any_of(numbers.sometimes, [](const auto &sometimes) {
      return sometimes.second.isZero();
    });
  }

  /// For what is built to be looked at.
  OpBuilder &getBuilder() { return b; }
  Block &getScratch() { return scratch; }

private:
  Block scratch;
  OpBuilder b;
  llvm::DenseMap<Value, Numbers> known;

  Numbers find(Value value) {
    auto it = known.find(value);
    if (it != known.end())
      return it->second;
    Numbers numbers = compute(value);
    known[value] = numbers;
    return numbers;
  }

  Numbers compute(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto op = dyn_cast_or_null<linalg::LinalgOp>(
          argument.getOwner()->getParentOp());
      if (!op)
        return {};
      OpOperand *operand = op.getMatchingOpOperand(argument);
      return operand ? find(operand->get()) : Numbers();
    }
    Attribute attr;
    if (matchPattern(value, m_Constant(&attr))) {
      if (auto dense = dyn_cast<DenseElementsAttr>(attr);
          dense && dense.isSplat())
        attr = dense.getSplatValue<Attribute>();
      Numbers numbers;
      if (auto number = dyn_cast<FloatAttr>(attr))
        numbers.constant = number.getValue();
      return numbers;
    }
    Operation *op = value.getDefiningOp();
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      return find(fill.getInputs()[0]);
    if (isa<tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
            tensor::ExtractSliceOp>(op))
      return find(op->getOperand(0));
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      if (linalgOp.getNumParallelLoops() != linalgOp.getNumLoops())
        return {};
      return find(linalgOp.getBlock()->getTerminator()->getOperand(
          cast<OpResult>(value).getResultNumber()));
    }
    if (op->getNumResults() != 1 || op->getNumRegions() != 0 ||
        !isa<FloatType>(getElementTypeOrSelf(value.getType())))
      return {};
    return computeOp(op);
  }

  Numbers computeOp(Operation *op) {
    Numbers result;
    const auto &semantics =
        cast<FloatType>(getElementTypeOrSelf(op->getResult(0).getType()))
            .getFloatSemantics();
    APFloat zero = APFloat::getZero(semantics);
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      for (Value arm : {select.getTrueValue(), select.getFalseValue()})
        choose(op, find(arm), result);
      return result;
    }
    // A small number, or a comparison, that becomes a float; a float that loses
    // what is behind the point.
    if (isa<arith::SIToFPOp, arith::UIToFPOp, math::FloorOp, math::CeilOp,
            math::RoundOp, math::RoundEvenOp, math::TruncOp>(op)) {
      result.add(op, zero);
      return result;
    }
    SmallVector<Numbers> operands;
    for (Value operand : op->getOperands())
      operands.push_back(find(operand));
    if (llvm::all_of(operands, [](const Numbers &numbers) {
          return numbers.constant.has_value();
        })) {
      result.constant = fold(op, operands, nullptr);
      return result;
    }
    if (isa<arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
            arith::MinNumFOp>(op)) {
      // Each of the two may be the one, and a constant changes the other.
      for (auto [own, other] : {std::pair(0, 1), std::pair(1, 0)}) {
        if (operands[own].constant)
          choose(op, operands[own], result);
        else if (!operands[other].constant)
          result.addAll(operands[own]);
      }
    }
    llvm::MapVector<Operation *, bool> places;
    for (const Numbers &numbers : operands)
      for (const auto &[where, number] : numbers.sometimes)
        places[where] = true;
    for (auto [where, is] : places) {
      if (removesAll(op, operands, where))
        result.add(where, zero);
      else if (std::optional<APFloat> number = fold(op, operands, where))
        result.add(where, *number);
    }
    return result;
  }

  /// `op` has the numbers of an operand, if it chooses that.
  static void choose(Operation *op, const Numbers &operand, Numbers &result) {
    if (operand.constant)
      result.add(op, *operand.constant);
    result.addAll(operand);
  }

  /// Whether a 0 at `where` makes the result 0, whatever else there is.
  static bool removesAll(Operation *op, ArrayRef<Numbers> operands,
                         Operation *where) {
    auto isZero = [&](const Numbers &numbers) {
      std::optional<APFloat> number = numbers.at(where);
      return number && number->isZero();
    };
    if (isa<arith::MulFOp>(op))
      return llvm::any_of(operands, isZero);
    return isa<arith::DivFOp>(op) && isZero(operands[0]) &&
           !isZero(operands[1]);
  }

  /// What `op` is of the numbers at `where`; nothing if one is not known.
  std::optional<APFloat> fold(Operation *op, ArrayRef<Numbers> operands,
                              Operation *where) {
    SmallVector<Attribute> attributes;
    SmallVector<Value> values;
    for (auto [operand, numbers] : llvm::zip(op->getOperands(), operands)) {
      std::optional<APFloat> number = numbers.at(where);
      auto type = dyn_cast<FloatType>(getElementTypeOrSelf(operand.getType()));
      if (!number || !type)
        return std::nullopt;
      auto attribute = FloatAttr::get(type, *number);
      attributes.push_back(attribute);
      values.push_back(
          arith::ConstantOp::create(b, op->getLoc(), type, attribute));
    }
    // On one number, whatever it is on.
    Operation *own =
        clone(b, op, getElementTypeOrSelf(op->getResult(0).getType()), values);
    SmallVector<OpFoldResult> folded;
    if (failed(own->fold(attributes, folded)) || folded.size() != 1)
      return std::nullopt;
    Attribute attribute = dyn_cast<Attribute>(folded[0]);
    if (!attribute && isa<Value>(folded[0]))
      matchPattern(cast<Value>(folded[0]), m_Constant(&attribute));
    auto number = dyn_cast_or_null<FloatAttr>(attribute);
    return number ? std::optional(number.getValue()) : std::nullopt;
  }
};

} // namespace

bool moe::makesZeros(Value value) {
  return NumberFinder(value.getContext()).isSometimesZero(value);
}

bool moe::makesZeros(FFNOp ffn) {
  NumberFinder finder(ffn.getContext());
  SmallVector<Value> arguments;
  for (int i = 0, e = ffn.isGated() ? 2 : 1; i < e; ++i)
    arguments.push_back(finder.getScratch().addArgument(
        ffn.getAccumulatorType(), ffn.getLoc()));
  Value h =
      ffn.buildActivationBody(finder.getBuilder(), ffn.getLoc(), arguments);
  return h && finder.isSometimesZero(h);
}
