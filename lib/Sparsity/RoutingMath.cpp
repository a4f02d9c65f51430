//===- RoutingMath.cpp - Arithmetic on the slots of tokens ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "RoutingMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;
using utils::IteratorType;

RoutingMath::RoutingMath(OpBuilder &b, Location loc, Value routing)
    : b(b), loc(loc), slots(cast<RoutingType>(routing.getType()).getSlots()),
      routing(routing) {}

Value RoutingMath::getIndices() {
  if (!indices)
    indices = RoutingIndicesOp::create(
        b, loc,
        RankedTensorType::get({ShapedType::kDynamic, slots}, b.getI32Type()),
        routing);
  return indices;
}

/// The type of the weights of `routing`: that of the scores.
static Type getWeightType(Value routing) {
  for (Operation *def = routing.getDefiningOp(); def;
       def = routing.getDefiningOp()) {
    if (auto router = dyn_cast<RouterOp>(def))
      return router.getElementType();
    if (auto make = dyn_cast<RoutingMakeOp>(def))
      return getElementTypeOrSelf(make.getWeights().getType());
    if (!isa<RoutingAppendOp, RoutingLimitOp, RoutingReweighOp>(def))
      break;
    routing = def->getOperand(0);
  }
  return Float32Type::get(routing.getContext());
}

Value RoutingMath::getWeights() {
  if (!weights)
    weights = RoutingWeightsOp::create(
        b, loc,
        RankedTensorType::get({ShapedType::kDynamic, slots},
                              getWeightType(routing)),
        routing);
  return weights;
}

Value RoutingMath::getNumTokens() {
  if (!numTokens)
    numTokens = RoutingNumTokensOp::create(b, loc, b.getIndexType(), routing);
  return numTokens;
}

Value RoutingMath::buildEmpty(Type element) {
  return tensor::EmptyOp::create(b, loc,
                                 ArrayRef<int64_t>{ShapedType::kDynamic, slots},
                                 element, ValueRange{getNumTokens()});
}

Value RoutingMath::buildElementwise(ValueRange operands, Type element,
                                    Body body) {
  Value init = buildEmpty(element);
  SmallVector<AffineMap> maps;
  for (Value operand : operands)
    maps.push_back(cast<RankedTensorType>(operand.getType()).getRank() == 1
                       ? AffineMap::get(2, 0, b.getAffineDimExpr(0))
                       : b.getMultiDimIdentityMap(2));
  maps.push_back(b.getMultiDimIdentityMap(2));
  return linalg::GenericOp::create(
             b, loc, init.getType(), operands, ValueRange{init}, maps,
             SmallVector<IteratorType>(2, IteratorType::parallel),
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               linalg::YieldOp::create(nb, nl, body(nb, nl, args.drop_back()));
             })
      .getResult(0);
}

Value RoutingMath::buildPerToken(ValueRange operands, TypedAttr init,
                                 Body body) {
  Value first = arith::ConstantOp::create(b, loc, init);
  Value out =
      tensor::EmptyOp::create(b, loc, ArrayRef<int64_t>{ShapedType::kDynamic},
                              init.getType(), ValueRange{getNumTokens()});
  out = linalg::FillOp::create(b, loc, first, out).getResult(0);
  SmallVector<AffineMap> maps(operands.size(), b.getMultiDimIdentityMap(2));
  maps.push_back(AffineMap::get(2, 0, b.getAffineDimExpr(0)));
  return linalg::GenericOp::create(
             b, loc, out.getType(), operands, ValueRange{out}, maps,
             ArrayRef<IteratorType>{IteratorType::parallel,
                                    IteratorType::reduction},
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               linalg::YieldOp::create(nb, nl, body(nb, nl, args));
             })
      .getResult(0);
}

Value RoutingMath::buildPerSlotCount(
    Value values,
    function_ref<Value(OpBuilder &, Location, Value, Value, Value)> isAhead) {
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  Value init = buildEmpty(b.getI32Type());
  init = linalg::FillOp::create(b, loc, zero, init).getResult(0);
  AffineExpr t = b.getAffineDimExpr(0), s = b.getAffineDimExpr(1),
             other = b.getAffineDimExpr(2);
  auto map = [&](AffineExpr slot) {
    return AffineMap::get(3, 0, {t, slot}, b.getContext());
  };
  return linalg::GenericOp::create(
             b, loc, init.getType(), ValueRange{values, values},
             ValueRange{init}, ArrayRef<AffineMap>{map(s), map(other), map(s)},
             ArrayRef<IteratorType>{IteratorType::parallel,
                                    IteratorType::parallel,
                                    IteratorType::reduction},
             [&](OpBuilder &nb, Location nl, ValueRange args) {
               Value own = linalg::IndexOp::create(nb, nl, 1);
               Value others = linalg::IndexOp::create(nb, nl, 2);
               Value isBefore = arith::CmpIOp::create(
                   nb, nl, arith::CmpIPredicate::ult, others, own);
               Value counts = isAhead(nb, nl, args[0], args[1], isBefore);
               counts = arith::ExtUIOp::create(nb, nl, nb.getI32Type(), counts);
               Value sum = arith::AddIOp::create(nb, nl, args[2], counts);
               linalg::YieldOp::create(nb, nl, sum);
             })
      .getResult(0);
}

Value RoutingMath::buildKept(Value indices, Value weights) {
  Type element = getElementTypeOrSelf(weights.getType());
  return buildElementwise(
      ValueRange{indices, weights}, element,
      [&](OpBuilder &nb, Location nl, ValueRange args) -> Value {
        Value none = arith::ConstantOp::create(nb, nl, nb.getI32IntegerAttr(0));
        Value isUsed = arith::CmpIOp::create(nb, nl, arith::CmpIPredicate::sge,
                                             args[0], none);
        Value zero = arith::ConstantOp::create(nb, nl, nb.getZeroAttr(element));
        return arith::SelectOp::create(nb, nl, isUsed, args[1], zero);
      });
}

Value RoutingMath::buildFirstSlots(Value values, int64_t count) {
  SmallVector<OpFoldResult> offsets(2, b.getIndexAttr(0)),
      strides(2, b.getIndexAttr(1)),
      sizes{getNumTokens(), b.getIndexAttr(count)};
  return tensor::ExtractSliceOp::create(b, loc, values, offsets, sizes,
                                        strides);
}
