//===- Combine.cpp - Tokens from the rows of their experts ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thread has eight columns of a token, and adds up its slots in their order:
// no atomic additions, and the same bits every time.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"
#include "Kernels.h"

using namespace mlir;
using namespace moe::nvidia;

static constexpr int64_t kThreads = 256, kColumns = 8;

LLVM::LLVMFuncOp moe::nvidia::buildCombine(ModuleOp module, StringRef name,
                                           int64_t slots, int64_t n, Type out,
                                           int64_t &threads) {
  threads = kThreads;
  Emitter code(module.getLoc(), module.getContext());
  Type memory = code.pointer(kGlobal);
  LLVM::LLVMFuncOp func =
      createKernel(code, module, name,
                   {memory, memory, memory, memory, code.i32()}, kThreads);
  auto args = func.getArguments();
  Value rows = args[0], positions = args[1], weights = args[2], to = args[3];
  // There may be more chunks than an i32 counts.
  Value chunks = code.constant64(n / kColumns);
  Value first = code.add(code.mul(code.widen(code.block()), kThreads),
                         code.widen(code.thread()));
  code.loop(
      first, code.mul(code.widen(args[4]), n / kColumns),
      code.mul(code.widen(code.numBlocks()), kThreads), {},
      [&](Value number, ValueRange) -> SmallVector<Value> {
        Value token = code.div(number, chunks);
        Value column =
            code.mul(code.sub(number, code.mul(token, n / kColumns)), kColumns);
        Value zero = arith::ConstantOp::create(code, code.getF32FloatAttr(0));
        SmallVector<Value> sums(kColumns, zero);
        SmallVector<std::pair<Value, Value>> own;
        SmallVector<Value> loaded;
        for (int64_t slot = 0; slot < slots; ++slot) {
          Value at = code.mul(code.add(code.mul(token, slots), slot), 4);
          Value position = code.load(code.i32(), code.at(positions, at));
          Value weight = code.load(code.f32(), code.at(weights, at));
          Value valid = code.compare(arith::CmpIPredicate::sge, position,
                                     code.constant(0));
          Value row = code.widen(code.max(position, code.constant(0)));
          Value from = code.at(
              rows,
              code.mul(code.add(code.mul(row, n), column), 2));
          loaded.push_back(code.load(VectorType::get({4}, code.i32()), from));
          own.push_back({valid, weight});
        }
        for (int64_t slot = 0; slot < slots; ++slot) {
          auto [valid, weight] = own[slot];
          SmallVector<Value> words = code.unpack(loaded[slot]);
          for (int64_t i = 0; i < kColumns; i += 2) {
            auto [low, high] = code.fromBF16(words[i / 2]);
            for (auto [j, value] : {std::pair(i, low), std::pair(i + 1, high)})
              sums[j] = LLVM::FMAOp::create(
                  code, weight, code.select(valid, value, zero), sums[j]);
          }
        }
        Value at = code.at(to, code.mul(code.add(code.mul(token, n),
                                                 column),
                                        out.getIntOrFloatBitWidth() / 8));
        if (out.isF32()) {
          for (int64_t i = 0; i < kColumns; i += 4)
            code.store(code.pack(ValueRange(sums).slice(i, 4)),
                       code.at(at, i * 4));
        } else {
          SmallVector<Value> words;
          for (int64_t i = 0; i < kColumns; i += 2)
            words.push_back(code.toBF16(sums[i], sums[i + 1]));
          code.store(code.pack(words), at);
        }
        return {};
      });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
