//===- BufferUses.cpp - Who may touch a buffer ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Follows results, block arguments and what regions yield.
//
//===----------------------------------------------------------------------===//

#include "BufferUses.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

void moe::forEachUse(Value root, function_ref<void(OpOperand &)> visit) {
  SmallVector<Value> worklist = {root};
  llvm::DenseSet<Value> seen = {root};
  auto push = [&](Value value) {
    if (seen.insert(value).second)
      worklist.push_back(value);
  };
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    for (OpOperand &use : value.getUses()) {
      visit(use);
      Operation *user = use.getOwner();
      if (isa<memref::LoadOp, vector::LoadOp, vector::TransferReadOp,
              vector::MaskedLoadOp, vector::GatherOp, memref::DimOp,
              memref::DeallocOp>(user))
        continue;
      for (Value result : user->getResults())
        push(result);
      for (Region &region : user->getRegions())
        for (Block &block : region)
          for (Value argument : block.getArguments())
            push(argument);
      if (user->hasTrait<OpTrait::IsTerminator>())
        for (Value result : user->getParentOp()->getResults())
          push(result);
    }
  }
}

std::optional<int64_t> moe::boundElements(memref::AllocOp alloc) {
  int64_t elements = 1;
  unsigned next = 0;
  for (int64_t extent : alloc.getType().getShape()) {
    if (ShapedType::isDynamic(extent)) {
      FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
          presburger::BoundType::UB,
          ValueBoundsConstraintSet::Variable(alloc.getDynamicSizes()[next++]),
          /*stopCondition=*/nullptr, /*closedUB=*/true);
      if (failed(bound))
        return std::nullopt;
      extent = std::max<int64_t>(*bound, 0);
    }
    if (llvm::MulOverflow(elements, extent, elements))
      return std::nullopt;
  }
  return elements;
}
