//===- Payload.cpp - Scalar bodies on whole rows ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Payload.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moe;

std::optional<moe::Combiner> moe::matchCombiner(linalg::LinalgOp op,
                                                unsigned i) {
  Block &body = *op.getBlock();
  Value acc = op.getMatchingBlockArgument(op.getDpsInitOperand(i));
  Operation *combiner = body.getTerminator()->getOperand(i).getDefiningOp();
  if (!combiner || combiner->getBlock() != &body ||
      combiner->getNumOperands() != 2 || !acc.hasOneUse())
    return std::nullopt;
  Value term;
  for (int j = 0; j < 2; ++j)
    if (combiner->getOperand(j) == acc)
      term = combiner->getOperand(1 - j);
  if (!term || term == acc)
    return std::nullopt;
  using Kind = vector::CombiningKind;
  using Result = std::optional<Kind>;
  Result kind = llvm::TypeSwitch<Operation *, Result>(combiner)
                    .Case([](arith::AddFOp) { return Kind::ADD; })
                    .Case([](arith::MulFOp) { return Kind::MUL; })
                    .Case([](arith::MaximumFOp) { return Kind::MAXIMUMF; })
                    .Case([](arith::MaxNumFOp) { return Kind::MAXNUMF; })
                    .Case([](arith::MinimumFOp) { return Kind::MINIMUMF; })
                    .Case([](arith::MinNumFOp) { return Kind::MINNUMF; })
                    .Default([](Operation *) { return Result(); });
  if (!kind)
    return std::nullopt;
  return Combiner{*kind, term};
}

std::optional<TypedAttr> moe::getSplat(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    value = fill.getInputs()[0];
  Attribute attr;
  if (!matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  if (auto dense = dyn_cast<DenseElementsAttr>(attr); dense && dense.isSplat())
    attr = dense.getSplatValue<Attribute>();
  if (!isa<FloatAttr, IntegerAttr>(attr))
    return std::nullopt;
  return cast<TypedAttr>(attr);
}

Value moe::spreadOverRow(OpBuilder &b, Location loc, Value value,
                         int64_t length) {
  if (isa<VectorType>(value.getType()))
    return value;
  auto type = VectorType::get({length}, value.getType());
  Attribute constant;
  if (matchPattern(value, m_Constant(&constant)))
    return arith::ConstantOp::create(
        b, loc, type, DenseElementsAttr::get(type, ArrayRef(constant)));
  return vector::BroadcastOp::create(b, loc, type, value);
}

namespace {
/// Builds what is wanted and what that needs, once each.
class PayloadBuilder {
public:
  PayloadBuilder(OpBuilder &b, Block &body, IRMapping &mapping, int64_t length)
      : b(b), body(body), mapping(mapping), length(length) {}

  Value build(Value value) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    Operation *op = value.getDefiningOp();
    assert(op && "an argument of the body without a row");
    Value result;
    if (op->getBlock() != &body || op->hasTrait<OpTrait::ConstantLike>()) {
      assert(op->hasTrait<OpTrait::ConstantLike>() && "checked before");
      result = b.clone(*op)->getResult(0);
    } else {
      result = buildOp(*op);
    }
    mapping.map(value, result);
    return result;
  }

private:
  OpBuilder &b;
  Block &body;
  IRMapping &mapping;
  int64_t length;

  Value buildOp(Operation &op) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(build(operand));
    Type type = op.getResult(0).getType();
    if (llvm::any_of(operands, [](Value operand) {
          return isa<VectorType>(operand.getType());
        })) {
      for (Value &operand : operands)
        operand = spreadOverRow(b, op.getLoc(), operand, length);
      type = VectorType::get({length}, type);
    }
    return clone(b, &op, type, operands)->getResult(0);
  }
};
} // namespace

SmallVector<Value> moe::buildPayloadOnRow(OpBuilder &b, Block &body,
                                          IRMapping &mapping, ValueRange wanted,
                                          int64_t length) {
  PayloadBuilder builder(b, body, mapping, length);
  SmallVector<Value> results;
  for (Value value : wanted)
    results.push_back(builder.build(value));
  return results;
}
