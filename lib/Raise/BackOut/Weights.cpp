//===- Weights.cpp - From vectors of a token to tensors ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Steps of weighing, and regions of routers, say what happens to the vector of
// one token. Here each of their ops says it of all tokens: a vector is a tensor
// [T, K], a scalar one of [T].
//
//===----------------------------------------------------------------------===//

#include "BackOut.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;
using namespace moe;
using namespace moe::raise;

namespace {
/// A value of one token, of all of them: read by `map` from the loops (token,
/// slot), or a scalar that is the same for all.
struct OfTokens {
  Value value;
  AffineMap map;
};

class Writer {
public:
  Writer(Upstream &up, Sizes sizes) : up(up), sizes(std::move(sizes)) {}

  void set(Value vector, Value tensor) {
    values[vector] = {tensor, up.getBuilder().getMultiDimIdentityMap(2)};
  }
  /// False if nothing is known of the op.
  bool write(Operation &op);
  /// The tensor [T, K] of a vector.
  Value get(Value vector) {
    std::optional<OfTokens> found = find(vector);
    if (!found)
      return {};
    return spread({*found}, vector.getType(),
                  [](OpBuilder &, ValueRange v) { return v.front(); });
  }

private:
  std::optional<OfTokens> find(Value value) {
    if (auto it = values.find(value); it != values.end())
      return it->second;
    // A scalar from outside of the region is that of all tokens.
    if (isa<ShapedType>(value.getType()) ||
        !value.getParentRegion()->getParentOp())
      return std::nullopt;
    return OfTokens{value, {}};
  }
  /// A tensor for a value of `type` that `body` makes of scalars.
  Value spread(ArrayRef<OfTokens> inputs, Type type, Upstream::Body body);
  bool writeConstant(arith::ConstantOp op);
  bool writeReduction(vector::ReductionOp op);
  bool writeElementwise(Operation &op);

  Upstream &up;
  Sizes sizes;
  llvm::DenseMap<Value, OfTokens> values;
};
} // namespace

Value Writer::spread(ArrayRef<OfTokens> inputs, Type type,
                     Upstream::Body body) {
  OpBuilder &b = up.getBuilder();
  bool isVector = isa<VectorType>(type);
  Sizes own = isVector ? sizes : Sizes{sizes[0]};
  SmallVector<Value> tensors;
  SmallVector<AffineMap> maps;
  for (const OfTokens &input : inputs)
    if (input.map) {
      tensors.push_back(input.value);
      maps.push_back(
          isVector ? input.map
                   : input.map.replaceDimsAndSymbols(
                         {b.getAffineDimExpr(0), b.getAffineConstantExpr(0)},
                         {}, 1, 0));
    }
  return up.map(tensors, maps, own, getElementTypeOrSelf(type),
                [&](OpBuilder &nested, ValueRange v) {
                  SmallVector<Value> scalars;
                  auto next = v.begin();
                  for (const OfTokens &input : inputs)
                    scalars.push_back(input.map ? *next++ : input.value);
                  return body(nested, scalars);
                });
}

bool Writer::writeConstant(arith::ConstantOp op) {
  OpBuilder &b = up.getBuilder();
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements) {
    values[op] = {arith::ConstantOp::create(b, up.getLoc(), op.getValue()), {}};
    return true;
  }
  if (elements.isSplat()) {
    auto scalar = cast<TypedAttr>(elements.getSplatValue<Attribute>());
    values[op] = {arith::ConstantOp::create(b, up.getLoc(), scalar), {}};
    return true;
  }
  auto type = cast<VectorType>(op.getType());
  if (type.getRank() != 1)
    return false;
  auto tensor = elements.reshape(
      RankedTensorType::get(type.getShape(), type.getElementType()));
  values[op] = {arith::ConstantOp::create(b, up.getLoc(), tensor),
                readDims(up, 2, {1})};
  return true;
}

/// What a reduction starts with; none for kinds that nobody reduces weights by.
static std::optional<double> getNeutral(vector::CombiningKind kind) {
  double infinity = std::numeric_limits<double>::infinity();
  switch (kind) {
  case vector::CombiningKind::ADD:
  case vector::CombiningKind::OR:
  case vector::CombiningKind::XOR:
  case vector::CombiningKind::MAXUI:
    return 0;
  case vector::CombiningKind::MUL:
    return 1;
  case vector::CombiningKind::AND:
    return -1;
  case vector::CombiningKind::MAXIMUMF:
  case vector::CombiningKind::MAXNUMF:
    return -infinity;
  case vector::CombiningKind::MINIMUMF:
  case vector::CombiningKind::MINNUMF:
    return infinity;
  default:
    return std::nullopt;
  }
}

bool Writer::writeReduction(vector::ReductionOp op) {
  Location loc = up.getLoc();
  std::optional<OfTokens> source = find(op.getVector());
  std::optional<double> neutral = getNeutral(op.getKind());
  if (!source || !neutral)
    return false;
  Type type = op.getType();
  Value tensor = spread({*source}, op.getVector().getType(),
                        [](OpBuilder &, ValueRange v) { return v.front(); });
  Value sum = up.reduce(tensor, up.scalar(type, *neutral), {1},
                        [&](OpBuilder &nested, ValueRange v) {
                          return vector::makeArithReduction(
                              nested, loc, op.getKind(), v[1], v[0]);
                        });
  OfTokens result = {sum, readDims(up, 2, {0})};
  if (op.getAcc()) {
    std::optional<OfTokens> start = find(op.getAcc());
    if (!start)
      return false;
    result.value =
        spread({*start, result}, type, [&](OpBuilder &nested, ValueRange v) {
          return vector::makeArithReduction(nested, loc, op.getKind(), v[0],
                                            v[1]);
        });
  }
  values[op] = result;
  return true;
}

bool Writer::writeElementwise(Operation &op) {
  if (!OpTrait::hasElementwiseMappableTraits(&op) || op.getNumResults() != 1 ||
      op.getNumRegions() != 0)
    return false;
  SmallVector<OfTokens> operands;
  for (Value operand : op.getOperands()) {
    std::optional<OfTokens> found = find(operand);
    if (!found)
      return false;
    operands.push_back(*found);
  }
  Type type = op.getResult(0).getType();
  auto build = [&](OpBuilder &b, ValueRange v) {
    OperationState state(up.getLoc(), op.getName(), v,
                         getElementTypeOrSelf(type), op.getAttrs());
    return b.create(state)->getResult(0);
  };
  bool isUniform = !isa<VectorType>(type) &&
                   llvm::none_of(operands, [](const OfTokens &operand) {
                     return static_cast<bool>(operand.map);
                   });
  if (isUniform) {
    SmallVector<Value> scalars;
    for (const OfTokens &operand : operands)
      scalars.push_back(operand.value);
    values[op.getResult(0)] = {build(up.getBuilder(), scalars), {}};
    return true;
  }
  AffineMap map = isa<VectorType>(type)
                      ? up.getBuilder().getMultiDimIdentityMap(2)
                      : readDims(up, 2, {0});
  values[op.getResult(0)] = {spread(operands, type, build), map};
  return true;
}

bool Writer::write(Operation &op) {
  return llvm::TypeSwitch<Operation *, bool>(&op)
      .Case([&](arith::ConstantOp constant) { return writeConstant(constant); })
      .Case([&](vector::ReductionOp reduction) {
        return writeReduction(reduction);
      })
      .Case([&](vector::BroadcastOp broadcast) {
        std::optional<OfTokens> source = find(broadcast.getSource());
        if (!source || (isa<VectorType>(broadcast.getSource().getType()) &&
                        broadcast.getSource().getType() != broadcast.getType()))
          return false;
        values[broadcast] = *source;
        return true;
      })
      .Case([&](vector::ExtractOp extract) {
        std::optional<OfTokens> source = find(extract.getSource());
        if (!source || extract.getStaticPosition().size() != 1 ||
            extract.hasDynamicPosition() || isa<VectorType>(extract.getType()))
          return false;
        OpBuilder &b = up.getBuilder();
        if (source->map)
          source->map = source->map.replaceDimsAndSymbols(
              {b.getAffineDimExpr(0),
               b.getAffineConstantExpr(extract.getStaticPosition()[0])},
              {}, 2, 0);
        values[extract] = *source;
        return true;
      })
      .Default([&](Operation *other) { return writeElementwise(*other); });
}

FailureOr<Value> raise::writeWeights(
    Upstream &up, Operation *op, Value values, Value used,
    llvm::function_ref<Value(OpBuilder &, Value, Value)> build) {
  RankedTensorType type = Upstream::typeOf(values);
  MLIRContext *context = op->getContext();
  // The steps, of one token.
  Region scratch;
  Block &block = scratch.emplaceBlock();
  int64_t slots = type.getDimSize(1);
  Value vector = block.addArgument(
      VectorType::get(slots, type.getElementType()), up.getLoc());
  Value mask;
  if (used)
    mask = block.addArgument(
        VectorType::get(slots, IntegerType::get(context, 1)), up.getLoc());
  OpBuilder steps(context);
  steps.setInsertionPointToEnd(&block);
  Value weights = build(steps, vector, mask);

  Writer writer(up, up.sizesOf(values));
  writer.set(vector, values);
  if (used)
    writer.set(mask, used);
  for (Operation &step : block)
    if (!writer.write(step))
      return op->emitOpError("has weights with no form on tensors: nothing is "
                             "known of '")
             << step.getName() << "'";
  Value result = writer.get(weights);
  if (!result)
    return op->emitOpError("has weights with no form on tensors");
  return result;
}
