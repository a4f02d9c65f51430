//===- TorchNew.cpp - PyTorch's new tensors ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Tensors of one number, and those that count.
//
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "Onnx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace moe::raise;
using namespace moe::raise::torch;

static LogicalResult needSizes(ForeignOp &op) {
  return op.leave("the sizes that it asks for are no list of integers");
}

/// A number of the program as a tensor of rank 0.
static LogicalResult convertNumber(ForeignOp &op) {
  Type element = getResultElement(op);
  Value number = op.getNumOperands() ? op.getOperand(0) : Value();
  if (!number || !element)
    return op.leave("the type of its result is not known");
  if (TypedAttr constant = getNumber(number)) {
    if (Value result = makeConstant(op.upstream, constant, element))
      return op.replace(result);
    return op.leave("its number is too large for its type");
  }
  if (std::optional<OpFoldResult> size = getSize(number))
    if (element.isInteger(64))
      return op.replace(onnx::makeKnown(op.upstream, {*size}, 0, element));
  return op.leave("its number is not known");
}

/// A tensor of one number: of `sizes`, of the type that its result has.
static LogicalResult fillWith(ForeignOp &op, std::optional<Sizes> sizes,
                              Value number) {
  Type element = getResultElement(op);
  TypedAttr value = getNumber(number);
  if (!sizes)
    return needSizes(op);
  if (!element || !value)
    return op.leave("the number that it is filled with is no constant, or has "
                    "no type");
  for (OpFoldResult size : *sizes)
    if (std::optional<int64_t> constant = getConstantIntValue(size);
        constant && *constant < 0)
      return op.leave("one of its sizes is negative");
  Value constant = makeConstant(op.upstream, value, element);
  if (!constant)
    return op.leave("its number is too large for its type");
  if (sizes->empty())
    return op.replace(constant);
  Value scalar = arith::ConstantOp::create(
      op.upstream.getBuilder(), op.getLoc(), onnx::getSplat(constant));
  constant.getDefiningOp()->erase();
  return op.replace(op.upstream.fill(*sizes, scalar));
}

static LogicalResult fillWith(ForeignOp &op, std::optional<Sizes> sizes,
                              double number) {
  OpBuilder &b = op.upstream.getBuilder();
  Type element = getResultElement(op);
  if (!sizes)
    return needSizes(op);
  if (!element)
    return op.leave("the type of its result is not known");
  return op.replace(op.upstream.fill(
      *sizes, Upstream(b, op.getLoc()).scalar(element, number)));
}

/// Sizes of operand 0: those of a tensor or a list, or of operand `list`.
static std::optional<Sizes> getAsked(ForeignOp &op, unsigned list = 0) {
  if (list >= op.getNumOperands())
    return std::nullopt;
  if (isa<RankedTensorType>(op.getOperand(list).getType()))
    return op.upstream.sizesOf(op.getOperand(list));
  return getSizes(op.getOperand(list));
}

static LogicalResult convertFull(ForeignOp &op) {
  if (op.getNumOperands() < 2)
    return needSizes(op);
  return fillWith(op, getAsked(op), op.getOperand(1));
}

template <int number> static LogicalResult convertFilled(ForeignOp &op) {
  return fillWith(op, getAsked(op), double(number));
}

template <int number> static LogicalResult convertNew(ForeignOp &op) {
  return fillWith(op, getAsked(op, 1), double(number));
}

/// start, start + step, ...; `start`, `end` and `step` are operands, if any.
static LogicalResult countFrom(ForeignOp &op, int start, unsigned end,
                               int step) {
  Upstream &up = op.upstream;
  OpBuilder &b = up.getBuilder();
  Type element = getResultElement(op);
  auto get = [&](int i, int64_t otherwise) -> std::optional<OpFoldResult> {
    if (i < 0)
      return OpFoldResult(b.getIndexAttr(otherwise));
    return i < static_cast<int>(op.getNumOperands()) ? getSize(op.getOperand(i))
                                                     : std::nullopt;
  };
  std::optional<OpFoldResult> first = get(start, 0), last = get(end, 0),
                              by = get(step, 1);
  if (!first || !last || !by || getConstantIntValue(*by) != 1 || !element)
    return op.leave("it does not count integers one by one");
  OpFoldResult count = onnx::subtract(up, *last, *first);
  if (std::optional<int64_t> constant = getConstantIntValue(count);
      constant && *constant < 0)
    return op.leave("it counts backwards");
  return op.replace(
      up.generate({count}, element, [&](OpBuilder &nested, ValueRange at) {
        Value index = at[0];
        Upstream scalars(nested, op.getLoc());
        if (getConstantIntValue(*first) != 0)
          index = arith::AddIOp::create(nested, op.getLoc(), index,
                                        onnx::toValue(scalars, *first));
        return scalars.castScalar(index, element);
      }));
}

void torch::addNew(ForeignTable &table) {
  auto add = [&](StringRef name, Translation translation) {
    table.add(("torch.aten." + name).str(), translation);
  };
  table.add("torch.prim.NumToTensor.Scalar", convertNumber);
  add("scalar_tensor", convertNumber);
  add("full", convertFull);
  add("full_like", convertFull);
  for (StringRef name :
       {"zeros", "zeros_like", "empty_like", "empty.memory_format"})
    add(name, convertFilled<0>);
  for (StringRef name : {"ones", "ones_like"})
    add(name, convertFilled<1>);
  add("new_zeros", convertNew<0>);
  add("new_ones", convertNew<1>);
  add("arange", [](ForeignOp &op) { return countFrom(op, -1, 0, -1); });
  add("arange.start", [](ForeignOp &op) { return countFrom(op, 0, 1, -1); });
  add("arange.start_step",
      [](ForeignOp &op) { return countFrom(op, 0, 1, 2); });
}
