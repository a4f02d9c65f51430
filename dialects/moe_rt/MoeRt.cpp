//===- MoeRt.cpp - The dialect of the runtime's hooks -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moert;

#include "moe_rt/MoeRtDialect.cpp.inc"
#include "moe_rt/MoeRtEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "moe_rt/MoeRtAttrs.cpp.inc"

void MoeRtDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "moe_rt/MoeRtAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "moe_rt/MoeRtOps.cpp.inc"
      >();
}

void NumThreadsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
}

void TraceOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // A hook sees all writes before it and none after it.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

void CheckOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  // It may end the call: nothing moves across it.
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

Operation *CheckOp::findObstacle(Block *block) {
  Operation *parent = block->getParentOp();
  while (parent && !isa<FunctionOpInterface>(parent)) {
    StringRef name = parent->getName().getStringRef();
    // By name, so that the dialect does not depend on scf.
    if (name != "scf.if" && name != "scf.for" && name != "scf.while" &&
        name != "scf.index_switch" && name != "scf.execute_region")
      return parent;
    parent = parent->getParentOp();
  }
  return nullptr;
}

LogicalResult CheckOp::verify() {
  if (Operation *obstacle = findObstacle((*this)->getBlock()))
    return emitOpError("can end a call from the body of a function and from "
                       "sequential scf ops in it, not from '")
           << obstacle->getName() << "'";
  return success();
}

LogicalResult CheckOp::canonicalize(CheckOp op, PatternRewriter &rewriter) {
  if (!matchPattern(op.getOk(), m_One()))
    return failure();
  rewriter.eraseOp(op);
  return success();
}

void LaunchOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

void CallOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}

LogicalResult LaunchOp::verify() {
  if (getBoxes().size() != getArguments().size())
    return emitOpError("has ") << getBoxes().size() << " boxes for "
                               << getArguments().size() << " arguments";
  for (auto [box, value] : llvm::zip(getBoxes(), getArguments())) {
    auto memref = dyn_cast<MemRefType>(value.getType());
    if (!memref && !value.getType().isIndex())
      return emitOpError("takes memrefs and indices, not ") << value.getType();
    if (box == 0)
      continue;
    if (!memref || memref.getRank() < 2 || !memref.getElementType().isBF16())
      return emitOpError("copies boxes of matrices of bf16, not of ")
             << value.getType();
    if (box < 1 || box > 256)
      return emitOpError("copies boxes of 1 to 256 rows, not of ") << box;
  }
  return success();
}

#define GET_OP_CLASSES
#include "moe_rt/MoeRtOps.cpp.inc"
