//===- Common.cpp - Builders shared by the conversion and fusions -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Moving scalar code into the regions of kernels, and sizes out of the way;
// telling what experts that no kernel takes keep from fusing.
//
//===----------------------------------------------------------------------===//

#include "Common.h"

#include "moek/KernelRegion.h"

#include "moe-mlir/Analysis/Dims.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;

void moe::resolveDimsOfResults(Operation *root) {
  root->walk([](tensor::DimOp dim) {
    if (isDimOutOfRange(dim))
      return;
    Value source = dim.getSource();
    while (auto result = dyn_cast<OpResult>(source)) {
      if (auto op = dyn_cast<DestinationStyleOpInterface>(result.getOwner())) {
        source = op.getTiedOpOperand(result)->get();
        continue;
      }
      break;
    }
    if (source == dim.getSource())
      return;
    auto empty = source.getDefiningOp<tensor::EmptyOp>();
    std::optional<int64_t> index = dim.getConstantIndex();
    if (empty && index && empty.getType().isDynamicDim(*index)) {
      dim.replaceAllUsesWith(empty.getDynamicSize(*index));
      dim.erase();
      return;
    }
    dim.getSourceMutable().assign(source);
  });
}

bool moe::isMovableScalarOp(Operation &op, Region &body, std::string &why) {
  why = moek::whyNotOnElements(op);
  if (!why.empty())
    return false;
  for (Value operand : op.getOperands())
    if (!body.isAncestor(operand.getParentRegion()) &&
        !matchPattern(operand, m_Constant())) {
      why = "its body uses a value from outside that is not a constant";
      return false;
    }
  return true;
}

Value moe::cloneScalarBody(OpBuilder &b, Block &body, IRMapping &mapping) {
  auto mapConstant = [&](Value value) {
    if (mapping.contains(value))
      return;
    if (Operation *def = value.getDefiningOp(); def && def->getBlock() != &body)
      b.clone(*def, mapping);
  };
  for (Operation &op : body.without_terminator()) {
    for (Value operand : op.getOperands())
      mapConstant(operand);
    b.clone(op, mapping);
  }
  Value yielded = body.getTerminator()->getOperand(0);
  mapConstant(yielded);
  return mapping.lookup(yielded);
}

void moe::sinkConstants(OpBuilder &b, Region &region) {
  SetVector<Value> captured;
  getUsedValuesDefinedAbove(region, captured);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(&region.front());
  for (Value value : captured) {
    Operation *def = value.getDefiningOp();
    if (!def || !def->hasTrait<OpTrait::ConstantLike>())
      continue;
    Value inside = b.clone(*def)->getResult(0);
    replaceAllUsesInRegionWith(value, inside, region);
  }
}

/// Whether `op` changes nothing but the type of its one tensor.
static bool isConversion(Operation *op) {
  if (isa<tensor::CastOp>(op))
    return true;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic.getNumDpsInputs() == 1 &&
         isa<arith::ExtFOp, arith::TruncFOp>(generic.getBody()->front()) &&
         llvm::all_of(generic.getIndexingMapsArray(),
                      [](AffineMap map) { return map.isIdentity(); });
}

bool moe::isOnlyForExpertLoops(Operation *op) {
  for (Operation *around = op; around; around = around->getParentOp())
    if (around->hasAttr(kExpertLoopAttrName))
      return true;
  return isConversion(op) && !op->use_empty() &&
         llvm::all_of(op->getUsers(), isOnlyForExpertLoops);
}

int64_t moe::getRowsOfToken(Value offsets) {
  // Experts of a layer with several kinds of bodies use a part of the groups.
  while (auto slice = offsets.getDefiningOp<tensor::ExtractSliceOp>())
    offsets = slice.getSource();
  auto routing = offsets.getDefiningOp<moek::RoutingOpInterface>();
  if (!routing)
    return 1;
  Value positions = routing.getRouting().positions;
  auto type =
      positions ? dyn_cast<ShapedType>(positions.getType()) : ShapedType();
  return type && type.getRank() == 2 && !type.isDynamicDim(1)
             ? type.getDimSize(1)
             : 1;
}

bool moe::isMadeByExpertLoop(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isConversion(op))
    op = op->getOperand(0).getDefiningOp();
  return op && op->hasAttr(kExpertLoopAttrName);
}
