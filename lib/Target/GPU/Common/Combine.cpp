//===- Combine.cpp - Tokens from the rows of their experts ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thread has up to eight columns of a token, and adds up its slots in their
// order: no atomic additions, and the same bits every time.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

static constexpr int64_t kThreads = 256;

int64_t gpu::getCombinedColumns(int64_t n) {
  for (int64_t columns : {8, 4, 2})
    if (n % columns == 0)
      return columns;
  return 1;
}

LLVM::LLVMFuncOp gpu::buildCombine(ModuleOp module, StringRef name,
                                   const CombineShape &shape) {
  auto [slots, n, rowType, out, weighs, initType] = shape;
  int64_t columns = getCombinedColumns(n);
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  SmallVector<Type> types(3 + weighs + bool(initType), memory);
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  auto args = func.getArguments();
  Value rows = args[0], positions = args[1], tokens = args.back();
  Value weights = weighs ? args[2] : Value();
  Value init = initType ? args[2 + weighs] : Value();
  Value to = args.drop_back().back();
  // There may be more chunks than an i32 counts.
  Value chunks = code.constant64(n / columns);
  Value first = code.add(code.mul(code.widen(code.block()), kThreads),
                         code.widen(code.thread()));
  code.loop(
      first, code.mul(code.widen(tokens), n / columns),
      code.mul(code.widen(code.numBlocks()), kThreads), {},
      [&](Value number, ValueRange) -> SmallVector<Value> {
        Value token = code.div(number, chunks);
        Value column =
            code.mul(code.sub(number, code.mul(token, n / columns)), columns);
        Value zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
        auto getPlace = [&](Value base, Value row, Type type) {
          return code.at(base, code.mul(code.add(code.mul(row, n), column),
                                        type.getIntOrFloatBitWidth() / 8));
        };
        SmallVector<Value> sums(columns, zero);
        if (init)
          sums = code.widenFloats(code.loadFloats(
              initType, getPlace(init, token, initType), columns));
        SmallVector<std::pair<Value, Value>> own;
        SmallVector<Emitter::Loaded> loaded;
        for (int64_t slot = 0; slot < slots; ++slot) {
          Value at = code.mul(code.add(code.mul(token, slots), slot), 4);
          Value position = code.load(code.i32(), code.at(positions, at));
          Value weight =
              weights ? code.load(code.f32(), code.at(weights, at)) : Value();
          Value valid = code.compare(arith::CmpIPredicate::sge, position,
                                     code.constant(0));
          Value row = code.widen(code.max(position, code.constant(0)));
          loaded.push_back(
              code.loadFloats(rowType, getPlace(rows, row, rowType), columns));
          own.push_back({valid, weight});
        }
        for (int64_t slot = 0; slot < slots; ++slot) {
          auto [valid, weight] = own[slot];
          for (auto [sum, value] :
               llvm::zip(sums, code.widenFloats(loaded[slot]))) {
            Value own = code.select(valid, value, zero);
            sum = weight ? Value(LLVM::FMAOp::create(code, weight, own, sum))
                         : Value(arith::AddFOp::create(code, sum, own));
          }
        }
        code.storeFloats(sums, out, getPlace(to, token, out));
        return {};
      });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
