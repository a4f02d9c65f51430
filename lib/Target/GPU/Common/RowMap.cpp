//===- RowMap.cpp - Functions of rows, an element a thread ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Bodies that compute each column from the same column of what they read.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

static constexpr int64_t kThreads = 256;

StringRef gpu::whyNoKernel(moek::RowMapOp op) {
  if (!op.getParameters().empty())
    return "its body reads parameters of experts";
  if (!llvm::all_of(op->getOperandTypes(), [](Type type) {
        Type element = getElementTypeOrSelf(type);
        return element.isInteger(32) || element.isF32() || element.isF16() ||
               element.isBF16();
      }))
    return "it has other numbers than floats of 16 and 32 bits";
  if (!llvm::all_of(op.getOutputs(), [&](Value value) {
        auto type = cast<ShapedType>(value.getType());
        return type.getRank() == 2 && type.getDimSize(1) == op.getRowLength();
      }))
    return "it makes numbers, or rows with padding";
  for (Operation &inner : op.getBody().front().without_terminator()) {
    DenseElementsAttr values;
    if (matchPattern(&inner, m_Constant(&values)) && !values.isSplat())
      return "its body has constants that differ from column to column";
    if (!isa<arith::ArithDialect, math::MathDialect>(inner.getDialect()) &&
        !isa<vector::BroadcastOp>(inner))
      return "its body has more than elementwise operations";
  }
  return "";
}

/// The body for one column.
static SmallVector<Value> inlineScalars(Emitter &code, Block &body,
                                        ValueRange arguments) {
  IRMapping map;
  map.map(body.getArguments(), arguments);
  for (Operation &op : body.without_terminator()) {
    DenseElementsAttr values;
    if (isa<vector::BroadcastOp>(op)) {
      map.map(op.getResult(0), map.lookup(op.getOperand(0)));
    } else if (matchPattern(&op, m_Constant(&values))) {
      map.map(op.getResult(0),
              arith::ConstantOp::create(
                  code, cast<TypedAttr>(values.getSplatValue<Attribute>())));
    } else {
      Operation *own = code.clone(op, map);
      for (Value result : own->getResults())
        result.setType(getElementTypeOrSelf(result.getType()));
    }
  }
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(map.lookup(value));
  return results;
}

LLVM::LLVMFuncOp gpu::buildRowMap(ModuleOp module, StringRef name,
                                  moek::RowMapOp op) {
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(op->getNumOperands(), code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  ValueRange args = func.getArguments();
  auto take = [&](size_t count) {
    ValueRange own = args.take_front(count);
    args = args.drop_front(count);
    return own;
  };
  Value offsets = take(1).front();
  Value tokens = op.getTokens() ? take(1).front() : Value();
  ValueRange gathered = take(op.getGathered().size()),
             rows = take(op.getRows().size()),
             outputs = take(op.getOutputs().size());
  int64_t length = op.getRowLength();
  int64_t experts =
      cast<ShapedType>(op.getOffsets().getType()).getDimSize(0) - 1;
  Value begin = code.load(code.i32(), offsets);
  Value end = code.load(code.i32(), code.at(offsets, experts * 4));
  Value first = code.add(code.mul(code.widen(code.block()), kThreads),
                         code.widen(code.thread()));
  code.loop(
      first, code.mul(code.widen(args.front()), length),
      code.mul(code.widen(code.numBlocks()), kThreads), {},
      [&](Value number, ValueRange) -> SmallVector<Value> {
        Value row = code.div(number, code.constant64(length));
        Value column = code.sub(number, code.mul(row, length));
        Value narrow = arith::TruncIOp::create(code, code.i32(), row);
        // Rows of other groups stay as they are.
        Value own =
            code.both(code.compare(arith::CmpIPredicate::sge, narrow, begin),
                      code.isLess(narrow, end));
        code.when(own, [&] {
          auto getPlace = [&](Value base, Value memref, Value row) {
            auto type = cast<MemRefType>(memref.getType());
            Value at = row;
            if (type.getRank() == 2)
              at = code.add(code.mul(row, type.getDimSize(1)), column);
            return code.at(base,
                           code.mul(at, type.getElementTypeBitWidth() / 8));
          };
          SmallVector<Value> arguments;
          auto read = [&](ValueRange bases, ValueRange memrefs, Value row) {
            for (auto [base, memref] : llvm::zip(bases, memrefs))
              arguments.push_back(
                  code.load(getElementTypeOrSelf(memref.getType()),
                            getPlace(base, memref, row)));
          };
          if (!gathered.empty())
            read(gathered, op.getGathered(),
                 code.widen(
                     code.load(code.i32(), code.at(tokens, code.mul(row, 4)))));
          read(rows, op.getRows(), row);
          SmallVector<Value> results =
              inlineScalars(code, op.getBody().front(), arguments);
          for (auto [base, memref, value] :
               llvm::zip(outputs, op.getOutputs(), results)) {
            Type element = getElementTypeOrSelf(memref.getType());
            if (value.getType() != element)
              value = arith::TruncFOp::create(code, element, value);
            code.store(value, getPlace(base, memref, row));
          }
        });
        return {};
      });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
