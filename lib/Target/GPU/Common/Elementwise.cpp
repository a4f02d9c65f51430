//===- Elementwise.cpp - Ordinary IR, element by element --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

using namespace mlir;
using namespace moe;
using gpu::Emitter;
using gpu::kGlobal;

static constexpr int64_t kThreads = 256;

LLVM::LLVMFuncOp gpu::buildElementwise(ModuleOp module, StringRef name,
                                       TypeRange inputs, Type output,
                                       int64_t rowLength, Region &body) {
  Emitter code(module.getLoc(), module.getContext());
  SmallVector<Type> types(inputs.size() + 1, code.pointer(kGlobal));
  types.push_back(code.i32());
  LLVM::LLVMFuncOp func = createKernel(code, module, name, types, kThreads);
  auto args = func.getArguments();
  // There may be more elements than an i32 counts.
  Value first = code.add(code.mul(code.widen(code.block()), kThreads),
                         code.widen(code.thread()));
  code.loop(first, code.mul(code.widen(args.back()), rowLength),
            code.mul(code.widen(code.numBlocks()), kThreads), {},
            [&](Value at, ValueRange) -> SmallVector<Value> {
              auto place = [&](Value base, Type type) {
                int64_t bytes = type.getIntOrFloatBitWidth() / 8;
                return code.at(base, code.mul(at, bytes));
              };
              SmallVector<Value> values;
              for (auto [i, type] : llvm::enumerate(inputs))
                values.push_back(code.load(type, place(args[i], type)));
              // What was there before is not read.
              if (body.getNumArguments() > values.size())
                values.push_back(LLVM::PoisonOp::create(code, output));
              code.store(code.inlineRegion(body, values),
                         place(args[inputs.size()], output));
              return {};
            });
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
