//===- OpHelpers.cpp - What verifiers of the ops share -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "OpHelpers.h"

using namespace mlir;
using namespace moek;

void moek::detail::getDestinationEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand *operand : op.getDpsInputOperands())
    if (isa<MemRefType>(operand->get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), operand,
                           SideEffects::DefaultResource::get());
  for (OpOperand &operand : op.getDpsInitsMutable())
    if (isa<MemRefType>(operand.get().getType())) {
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
    }
}

LogicalResult moek::verifyResults(DestinationStyleOpInterface op) {
  OperandRange inits = op.getDpsInits();
  bool tensors = llvm::all_of(
      inits, [](Value v) { return isa<RankedTensorType>(v.getType()); });
  if (!tensors && op->getNumResults() != 0)
    return op->emitOpError("on memrefs has no results");
  if (tensors && op->getNumResults() != inits.size())
    return op->emitOpError("expects one result per tensor in 'outs' (")
           << inits.size() << "), got " << op->getNumResults();
  for (auto [result, init] : llvm::zip(op->getResults(), inits))
    if (result.getType() != init.getType())
      return op->emitOpError("result type ")
             << result.getType() << " differs from its init's "
             << init.getType();
  return success();
}

const Elements moek::kI32{"i32", [](Type type) { return type.isInteger(32); }};
const Elements moek::kF32{"f32", [](Type type) { return type.isF32(); }};
const Elements moek::kKernelFloat{
    "f32 or bf16", [](Type type) { return type.isF32() || type.isBF16(); }};

LogicalResult moek::verifyShape(Operation *op, StringRef name, Value value,
                                ArrayRef<int64_t> sizes,
                                const Elements &elements) {
  auto type = cast<ShapedType>(value.getType());
  if (type.getRank() != static_cast<int64_t>(sizes.size()))
    return op->emitOpError("'")
           << name << "' must have rank " << sizes.size() << ", got " << type;
  if (!elements.contain(type.getElementType()))
    return op->emitOpError("'")
           << name << "' must hold " << elements.name << ", got " << type;
  for (auto [d, want] : llvm::enumerate(sizes))
    if (want >= 0 && !type.isDynamicDim(d) && type.getDimSize(d) != want)
      return op->emitOpError("'") << name << "' dimension " << d << " must be "
                                  << want << ", got " << type;
  return success();
}

LogicalResult moek::verifyCount(Operation *op, StringRef what, Value value) {
  auto type = cast<ShapedType>(value.getType());
  if (!type.isDynamicDim(1) && type.getDimSize(1) > 0)
    return success();
  return op->emitOpError("the number of ")
         << what << " must be static and at least 1, got " << type;
}

LogicalResult moek::verifyRowOperands(Operation *op, Value tokens,
                                      ValueRange gathered, ValueRange rows,
                                      ValueRange parameters, int64_t experts,
                                      int64_t length) {
  if (!tokens != gathered.empty())
    return op->emitOpError("'tokens' and 'gathered' need each other");
  if (tokens && failed(verifyShape(op, "tokens", tokens, {-1}, kI32)))
    return failure();
  auto verify = [&](StringRef name, ValueRange operands,
                    int64_t first) -> LogicalResult {
    for (Value operand : operands) {
      auto type = cast<ShapedType>(operand.getType());
      if (!type.getElementType().isIntOrFloat() || type.getRank() < 1 ||
          type.getRank() > 2)
        return op->emitOpError("'")
               << name << "' must be of rank 1 or 2 and hold numbers, got "
               << type;
      if (first >= 0 && type.getDimSize(0) != first)
        return op->emitOpError("'") << name << "' must have one row for each of "
                                    << first << " experts, got " << type;
      if (type.getRank() == 2 && type.getDimSize(1) < length)
        return op->emitOpError("'")
               << name << "' rows must be static and at least " << length
               << " long, got " << type;
    }
    return success();
  };
  if (failed(verify("gathered", gathered, -1)) ||
      failed(verify("rows", rows, -1)))
    return failure();
  return verify("parameters", parameters, experts);
}
