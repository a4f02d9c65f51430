//===- RowLoop.cpp - Loops over tokens, a team for each ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a policy that sees all tokens makes of their weights is a loop on
// vectors, one row of some matrices a step.
//
//===----------------------------------------------------------------------===//

#include "TeamVectors.h"

#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;
using gpu::kTeam;
using gpu::TeamVectors;

/// Whether a transfer is that of a whole row, whose number is that of the loop.
template <typename Transfer> static bool isRow(Transfer op, scf::ForOp loop) {
  auto type = dyn_cast<MemRefType>(op.getBase().getType());
  Operation *memory = op.getBase().getDefiningOp();
  return type && type.getRank() == 2 && type.getLayout().isIdentity() &&
         op.getVectorType().getRank() == 1 &&
         type.getDimSize(1) == op.getVectorType().getDimSize(0) &&
         op.getVectorType().getElementTypeBitWidth() == 32 && !op.getMask() &&
         op.getPermutationMap().isMinorIdentity() &&
         op.getIndices()[0] == loop.getInductionVar() &&
         matchPattern(op.getIndices()[1], m_Zero()) &&
         !(memory && loop->isProperAncestor(memory));
}

bool gpu::isRowLoop(scf::ForOp loop) {
  if (!matchPattern(loop.getLowerBound(), m_Zero()) ||
      !matchPattern(loop.getStep(), m_One()) || !loop.getInitArgs().empty())
    return false;
  bool writes = false;
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (auto read = dyn_cast<vector::TransferReadOp>(op)) {
      if (!isRow(read, loop))
        return false;
    } else if (auto write = dyn_cast<vector::TransferWriteOp>(op)) {
      writes = true;
      if (!isRow(write, loop))
        return false;
    } else if (!isMemoryEffectFree(&op)) {
      return false;
    }
  }
  return writes;
}

FailureOr<LLVM::LLVMFuncOp>
gpu::buildRowLoop(ModuleOp module, StringRef name, scf::ForOp loop,
                  int64_t teams, SmallVectorImpl<Value> &arguments) {
  // The step as a function of vectors.
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(loop.getLoc());
  OpBuilder top = OpBuilder::atBlockEnd(scratch->getBody());
  SmallVector<vector::TransferReadOp> reads;
  SmallVector<vector::TransferWriteOp> writes;
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (auto read = dyn_cast<vector::TransferReadOp>(op))
      reads.push_back(read);
    if (auto write = dyn_cast<vector::TransferWriteOp>(op))
      writes.push_back(write);
  }
  SmallVector<Type> inputs, results;
  llvm::SetVector<Value> memory;
  for (auto read : reads) {
    inputs.push_back(read.getVectorType());
    memory.insert(read.getBase());
  }
  for (auto write : writes) {
    results.push_back(write.getVectorType());
    memory.insert(write.getBase());
  }
  auto step = func::FuncOp::create(top, loop.getLoc(), "step",
                                   top.getFunctionType(inputs, results));
  ImplicitLocOpBuilder b(loop.getLoc(), loop.getContext());
  b.setInsertionPointToStart(step.addEntryBlock());
  IRMapping map;
  for (auto [read, argument] : llvm::zip(reads, step.getArguments()))
    map.map(read.getResult(), argument);
  // Constants are around the loop.
  auto known = [&](Value value) {
    Attribute constant;
    if (!map.contains(value) && matchPattern(value, m_Constant(&constant)))
      map.map(value, arith::ConstantOp::create(b, cast<TypedAttr>(constant)));
    return map.contains(value);
  };
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (isa<vector::TransferReadOp, vector::TransferWriteOp>(op))
      continue;
    for (Value operand : op.getOperands())
      if (operand.getParentBlock() != loop.getBody() && !known(operand))
        return op.emitOpError("reads what the host computes");
    b.clone(op, map);
  }
  SmallVector<Value> made;
  for (auto write : writes) {
    if (!known(write.getVector()))
      return write.emitOpError("writes what the host computes");
    made.push_back(map.lookup(write.getVector()));
  }
  func::ReturnOp::create(b, made);

  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(memory.size(), code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name, types, teams * kTeam);
  auto getBase = [&](Value memref) -> Value {
    return func.getArgument(llvm::find(memory, memref) - memory.begin());
  };
  Value lane = code.bitAnd(code.thread(), 31);
  Value warp = code.broadcast(code.shr(code.thread(), 5), 0);
  Value row = code.add(code.mul(code.block(), teams), warp);
  LogicalResult result = success();
  code.when(code.isLess(row, func.getArguments().back()), [&] {
    TeamVectors vectors(code, lane);
    for (auto [read, argument] : llvm::zip(reads, step.getArguments())) {
      int64_t size = read.getVectorType().getDimSize(0);
      vectors.set(argument, vectors.load(getBase(read.getBase()),
                                         read.getVectorType().getElementType(),
                                         row, size));
    }
    result = vectors.emit(step.getBody().front());
    if (failed(result))
      return;
    for (auto [write, value] : llvm::zip(writes, made)) {
      int64_t size = write.getVectorType().getDimSize(0);
      vectors.store(vectors.get(value), getBase(write.getBase()), row, size,
                    size);
    }
  });
  LLVM::ReturnOp::create(code, ValueRange());
  if (failed(result))
    return failure();
  llvm::append_range(arguments, memory);
  return func;
}
