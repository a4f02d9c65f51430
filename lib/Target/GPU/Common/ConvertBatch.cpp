//===- ConvertBatch.cpp - Kernels that see all tokens ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Experts that choose tokens, that have room for some, plans for all of a
// batch; and functions of rows.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/KernelConverter.h"
#include "moe-mlir/Target/Lanes/LimitCapacity.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace moe;
using gpu::kElementwiseBlocks;
using gpu::KernelConverter;

LogicalResult KernelConverter::convertExpertChoice(moek::ExpertChoiceOp op) {
  auto type = cast<MemRefType>(op.getScores().getType());
  if (!type.getElementType().isF32())
    return refuse(op, "it wants scores of f32");
  Builder b(op.getLoc(), op);
  int64_t experts = type.getDimSize(1);
  Value tokens = memref::DimOp::create(b, op.getScores(), 0);
  Value room = arith::MinUIOp::create(b, op.getCapacity(), tokens);
  launch(b,
         buildExpertChoice(kernels, getName(op, "expert_choice"), experts,
                           options.indexTeams),
         constant(b, experts),
         {op.getScores(), op.getOutputs()[0], room, tokens}, 0,
         options.overlaps);
  op.erase();
  return success();
}

LogicalResult KernelConverter::convertLimit(moek::LimitOp op) {
  auto isF32 = [](Value value) {
    return !value || getElementTypeOrSelf(value.getType()).isF32();
  };
  if (!isF32(op.getWeights()) || !isF32(op.getPriority()))
    return refuse(op, "it wants weights and priorities of f32");
  Builder b(op.getLoc(), op);
  Value tokens = memref::DimOp::create(b, op.getIndices(), 0);
  Value groupSize = tokens,
        groups = arith::MinUIOp::create(b, tokens, constant(b, 1));
  Value last = tokens;
  if (op.getGroupSize()) {
    int64_t size = *op.getGroupSize();
    groupSize = constant(b, size);
    groups = divide(b, tokens, size);
    // Without tokens nobody reads it.
    Value before = arith::MulIOp::create(
        b,
        arith::DivUIOp::create(
            b,
            arith::SubIOp::create(
                b, arith::MaxUIOp::create(b, tokens, constant(b, 1)),
                constant(b, 1)),
            groupSize),
        groupSize);
    last = arith::SubIOp::create(b, tokens, before);
  }
  auto getCapacity = [&](Value count) -> Value {
    OpBuilder at(b.getContext());
    at.restoreInsertionPoint(b.saveInsertionPoint());
    moe::Emitter e(op.getLoc(), at);
    e.setInsertionPoint(op);
    return arith::IndexCastOp::create(e, e.getIndexType(),
                                      emitLimitCapacity(e, op, count));
  };
  Value capacity = getCapacity(groupSize), lastCapacity = getCapacity(last);
  Value most = constant(b, std::numeric_limits<int32_t>::max());
  SmallVector<Value> arguments{op.getIndices(), op.getWeights()};
  if (op.getPriority())
    arguments.push_back(op.getPriority());
  llvm::append_range(arguments, op.getOutputs());
  arguments.append({tokens, arith::MinUIOp::create(b, groupSize, most),
                    capacity, lastCapacity});
  launch(b, buildLimit(kernels, getName(op, "limit"), op, options.indexTeams),
         arith::MulIOp::create(b, groups, constant(b, op.getExperts())),
         arguments, 0, options.overlaps);
  op.erase();
  return success();
}

LogicalResult KernelConverter::convertSinkhorn(moek::SinkhornOp op) {
  auto type = cast<MemRefType>(op.getScores().getType());
  if (!type.getElementType().isF32())
    return refuse(op, "it wants scores of f32");
  Builder b(op.getLoc(), op);
  Value tokens = memref::DimOp::create(b, op.getScores(), 0);
  auto allocate = [&](ArrayRef<int64_t> shape) -> Value {
    return memref::AllocOp::create(b, MemRefType::get(shape, b.getF32Type()),
                                   ValueRange{tokens}, b.getI64IntegerAttr(64));
  };
  Value scaled = allocate({ShapedType::kDynamic, type.getDimSize(1)}),
        ofTokens = allocate({ShapedType::kDynamic});
  launch(b, buildSinkhorn(kernels, getName(op, "sinkhorn"), op),
         arith::MinUIOp::create(b, tokens, constant(b, 1)),
         {op.getScores(), scaled, ofTokens, op.getOutputs()[0], tokens}, 0,
         options.overlaps);
  op.erase();
  return success();
}

LogicalResult KernelConverter::convertRowMap(moek::RowMapOp op) {
  if (StringRef why = whyNoKernel(op); !why.empty())
    return refuse(op, why);
  Builder b(op.getLoc(), op);
  Value rows = memref::DimOp::create(b, op.getOutputs()[0], 0);
  Value elements =
      arith::MulIOp::create(b, rows, constant(b, op.getRowLength()));
  LLVM::LLVMFuncOp kernel = buildRowMap(kernels, getName(op, "rows"), op);
  SmallVector<Value> arguments(op->getOperands());
  arguments.push_back(rows);
  launch(b, kernel, divide(b, elements, moegpu::getKernel(kernel).getThreads()),
         arguments, kElementwiseBlocks, options.overlaps);
  op.erase();
  return success();
}

LogicalResult KernelConverter::convertRowLoop(scf::ForOp op) {
  Builder b(op.getLoc(), op);
  SmallVector<Value> arguments;
  FailureOr<LLVM::LLVMFuncOp> kernel = buildRowLoop(
      kernels, getName(op, "weigh"), op, options.selectTeams, arguments);
  if (failed(kernel))
    return failure();
  Value rows = op.getUpperBound();
  arguments.push_back(rows);
  launch(b, *kernel, divide(b, rows, options.selectTeams), arguments, 0,
         options.overlaps);
  op.erase();
  return success();
}
