//===- Rows.cpp - How many rows a tensor has --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Goes from tensor to tensor with as many rows, and leaves what sizes say about
// each other to the analysis of value bounds.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Transforms/Rows.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace moe;

Value moe::getTokensTensor(Value routing) {
  while (Operation *op = routing.getDefiningOp()) {
    if (auto append = dyn_cast<RoutingAppendOp>(op))
      routing = append.getRouting();
    else if (auto limit = dyn_cast<RoutingLimitOp>(op))
      routing = limit.getRouting();
    else if (auto reweigh = dyn_cast<RoutingReweighOp>(op))
      routing = reweigh.getRouting();
    else if (auto make = dyn_cast<RoutingMakeOp>(op))
      return make.getIndices();
    else if (auto router = dyn_cast<RouterOp>(op))
      return router.getTokensOperand();
    else
      break;
  }
  return {};
}

/// A tensor with as many rows as `value`, nearer to the arguments: what the
/// analysis of shapes then sees has no op of this dialect on the way.
static Value getRowsRoot(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    Value next;
    if (isa<RoutingIndicesOp, RoutingWeightsOp>(op))
      next = getTokensTensor(op->getOperand(0));
    else if (auto dst = dyn_cast<DestinationStyleOpInterface>(op))
      next = dst.getTiedOpOperand(cast<OpResult>(value))->get();
    else if (auto cast = dyn_cast<tensor::CastOp>(op))
      next = cast.getSource();
    if (!next)
      break;
    value = next;
  }
  return value;
}

StringAttr moe::getRowsName(Value value) {
  auto function =
      value.getParentRegion()->getParentOfType<FunctionOpInterface>();
  if (!function)
    return {};
  value = getRowsRoot(value);
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    auto names = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(),
                                                      "moe.dims");
    if (!type || !names)
      continue;
    unsigned next = 0;
    for (int64_t d = 0; d < type.getRank(); ++d) {
      if (!type.isDynamicDim(d))
        continue;
      if (next == names.size())
        break;
      auto name = dyn_cast<StringAttr>(names[next++]);
      FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
          ValueBoundsConstraintSet::Variable(value, 0),
          ValueBoundsConstraintSet::Variable(Value(argument), d));
      if (name && succeeded(equal) && *equal)
        return name;
    }
  }
  return {};
}

bool moe::haveSameRows(Value a, Value b) {
  a = getRowsRoot(a);
  b = getRowsRoot(b);
  if (a == b)
    return true;
  auto typeA = cast<RankedTensorType>(a.getType());
  auto typeB = cast<RankedTensorType>(b.getType());
  if (!typeA.isDynamicDim(0) && !typeB.isDynamicDim(0))
    return typeA.getDimSize(0) == typeB.getDimSize(0);
  FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(
      ValueBoundsConstraintSet::Variable(a, 0),
      ValueBoundsConstraintSet::Variable(b, 0));
  if (succeeded(equal))
    return *equal;
  StringAttr name = getRowsName(a);
  return name && name == getRowsName(b);
}
