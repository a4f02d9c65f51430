//===- ResultsToArguments.cpp - Results are written in place ----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// An entry's results live in the caller's memory.
//
//===----------------------------------------------------------------------===//

#include "BufferUses.h"
#include "moe-mlir/Lowering/EntryPoints.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace moe {
#define GEN_PASS_DEF_RESULTSTOARGUMENTSPASS
#include "moe-mlir/Lowering/Passes.h.inc"
} // namespace moe

using namespace mlir;

namespace {

/// The op of `body` that holds the last check, if there is one.
Operation *findLastCheck(Block &body) {
  for (Operation &op : llvm::reverse(body))
    if (op.walk([](moert::CheckOp) { return WalkResult::interrupt(); })
            .wasInterrupted())
      return &op;
  return nullptr;
}

/// What `value` is a name of: casts, loops that hand a buffer on as it is, and
/// a shape with more dimensions, `expand`, once.
Value findBuffer(Value value, memref::ExpandShapeOp &expand) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto cast = dyn_cast<memref::CastOp>(op)) {
      value = cast.getSource();
      continue;
    }
    if (auto shape = dyn_cast<memref::ExpandShapeOp>(op); shape && !expand) {
      expand = shape;
      value = shape.getSrc();
      continue;
    }
    auto loop = dyn_cast<scf::ForOp>(op);
    if (!loop)
      break;
    auto result = cast<OpResult>(value);
    BlockArgument carried = loop.getTiedLoopRegionIterArg(result);
    if (loop.getTiedLoopYieldedValue(carried)->get() != carried)
      break;
    value = loop.getTiedLoopInit(result)->get();
  }
  return value;
}

/// The allocation behind `value` when it can become an argument, which nothing
/// may touch up to `lastCheck`.
memref::AllocOp findAllocation(Value value, Block &body, Operation *lastCheck,
                               memref::ExpandShapeOp &expand) {
  auto alloc = findBuffer(value, expand).getDefiningOp<memref::AllocOp>();
  if (!alloc || alloc->getBlock() != &body ||
      !alloc.getType().getLayout().isIdentity())
    return {};
  bool early = false;
  if (lastCheck)
    moe::forEachUse(alloc, [&](OpOperand &use) {
      Operation *user = body.findAncestorOpInBlock(*use.getOwner());
      early |=
          !user ||
          (!isa<memref::CastOp, memref::DimOp, memref::ExpandShapeOp>(user) &&
           !lastCheck->isBeforeInBlock(user));
    });
  return early ? memref::AllocOp() : alloc;
}

struct ResultsToArguments
    : moe::impl::ResultsToArgumentsPassBase<ResultsToArguments> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (moe::isEntryFunction(function) && failed(convert(function)))
        return signalPassFailure();
  }

  LogicalResult convert(func::FuncOp function) {
    if (function.getNumResults() == 0)
      return success();
    Block &body = function.getBody().front();
    auto ret = cast<func::ReturnOp>(body.getTerminator());
    OpBuilder builder(ret);
    Operation *lastCheck = findLastCheck(body);
    for (auto [i, value] : llvm::enumerate(ret.getOperands())) {
      Location loc = ret.getLoc();
      auto type = dyn_cast<MemRefType>(value.getType());
      bool isScalar = !type;
      if (isScalar) {
        if (!value.getType().isIntOrIndexOrFloat())
          return function.emitError()
                 << "result " << i << " of type " << value.getType()
                 << " cannot be passed through the C interface";
        type = MemRefType::get({}, value.getType());
      } else if (!type.getLayout().isIdentity()) {
        type = MemRefType::get(type.getShape(), type.getElementType());
      }
      // Static shapes found by folding are kept, so that the interface still
      // fits the names of the dynamic dimensions.
      SmallVector<NamedAttribute> attrs;
      if (auto dict = function.getResultAttrDict(i))
        attrs.append(dict.begin(), dict.end());
      attrs.push_back(builder.getNamedAttr(
          moe::kRoleAttr, builder.getStringAttr(moe::kResultRole)));
      unsigned index = function.getNumArguments();
      if (failed(function.insertArgument(index, type,
                                         builder.getDictionaryAttr(attrs),
                                         function.getLoc())))
        return failure();
      Value argument = function.getArgument(index);

      if (isScalar) {
        memref::StoreOp::create(builder, loc, value, argument, ValueRange());
        continue;
      }
      memref::ExpandShapeOp expand;
      if (auto alloc = findAllocation(value, body, lastCheck, expand)) {
        Value replacement = argument;
        OpBuilder front(alloc);
        if (expand)
          replacement =
              memref::CollapseShapeOp::create(front, alloc.getLoc(), argument,
                                              expand.getReassociationIndices());
        if (replacement.getType() != alloc.getType())
          replacement = memref::CastOp::create(front, alloc.getLoc(),
                                               alloc.getType(), replacement);
        alloc.replaceAllUsesWith(replacement);
        alloc.erase();
        continue;
      }
      memref::CopyOp::create(builder, loc, value, argument);
    }
    ret->setOperands(ValueRange());
    llvm::BitVector all(function.getNumResults(), true);
    return function.eraseResults(all);
  }
};

} // namespace
