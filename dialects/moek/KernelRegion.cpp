//===- KernelRegion.cpp - What may stand in the region of a kernel -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/KernelRegion.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OpDefinition.h"

using namespace mlir;

Type moek::getRowType(Value operand, int64_t length) {
  auto type = cast<ShapedType>(operand.getType());
  if (type.getRank() == 1)
    return type.getElementType();
  return VectorType::get({std::max<int64_t>(1, length)}, type.getElementType());
}

bool moek::isRowReduction(Operation &op) {
  auto reduction = dyn_cast<vector::ReductionOp>(op);
  return reduction && !reduction.getAcc();
}

bool moek::isRowBroadcast(Operation &op) {
  auto broadcast = dyn_cast<vector::BroadcastOp>(op);
  return broadcast && !isa<VectorType>(broadcast.getSource().getType());
}

std::string moek::whyNotOnElements(Operation &op) {
  if (op.getNumRegions() == 0 && (op.hasTrait<OpTrait::ConstantLike>() ||
                                  OpTrait::hasElementwiseMappableTraits(&op)))
    return {};
  return "its body has a " + op.getName().getStringRef().str() +
         ", which is not elementwise";
}

std::string moek::whyNotOnRows(Operation &op) {
  std::string why = whyNotOnElements(op);
  if (!why.empty() && !isRowReduction(op) && !isRowBroadcast(op))
    return why + ", a reduction of a row, or a broadcast to one";
  auto isRowOrElement = [](Type type) {
    auto vector = dyn_cast<VectorType>(type);
    return type.isIntOrIndexOrFloat() || (vector && vector.getRank() == 1);
  };
  DenseElementsAttr dense;
  bool isConstant = op.hasTrait<OpTrait::ConstantLike>();
  if (op.getNumResults() == 1 &&
      llvm::all_of(op.getOperandTypes(), isRowOrElement) &&
      isRowOrElement(op.getResult(0).getType()) &&
      (!isConstant || !isa<VectorType>(op.getResult(0).getType()) ||
       matchPattern(&op, m_Constant(&dense))))
    return {};
  return "its body has a " + op.getName().getStringRef().str() +
         ", which works on neither single values nor whole rows";
}
