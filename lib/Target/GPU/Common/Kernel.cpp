//===- Kernel.cpp - What all kernels begin with -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

using namespace mlir;
using namespace moe;

LLVM::LLVMFuncOp gpu::createKernel(Emitter &code, ModuleOp module,
                                   StringRef name, TypeRange arguments,
                                   int64_t threads, int64_t resident) {
  code.setInsertionPointToEnd(module.getBody());
  auto func = LLVM::LLVMFuncOp::create(
      code, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(code.getContext()),
                                  llvm::to_vector(arguments)));
  func->setAttr(moegpu::kKernelAttrName,
                moegpu::KernelAttr::get(code.getContext(), threads,
                                        /*shared=*/0, resident));
  code.setInsertionPointToStart(func.addEntryBlock(code));
  return func;
}

void gpu::setSharedBytes(LLVM::LLVMFuncOp kernel, int64_t bytes) {
  moegpu::KernelAttr own = moegpu::getKernel(kernel);
  kernel->setAttr(moegpu::kKernelAttrName,
                  moegpu::KernelAttr::get(kernel.getContext(), own.getThreads(),
                                          bytes, own.getResident()));
}

void gpu::expandReductions(LLVM::LLVMFuncOp kernel) {
  SmallVector<moegpu::ReduceOp> ops;
  kernel.walk([&](moegpu::ReduceOp op) { ops.push_back(op); });
  for (moegpu::ReduceOp op : ops) {
    Emitter code(op.getLoc(), op.getContext());
    code.setInsertionPoint(op);
    Value value = op.getValue();
    for (int64_t bits = kTeam / 2; bits; bits /= 2) {
      Value other = code.exchange(value, bits);
      switch (op.getKind()) {
      case moegpu::ReduceKind::Add:
        value = code.add(value, other);
        break;
      case moegpu::ReduceKind::Max:
        value = code.max(value, other);
        break;
      case moegpu::ReduceKind::Min:
        value = code.min(value, other);
        break;
      }
    }
    op.replaceAllUsesWith(value);
    op.erase();
  }
}

LLVM::LLVMFuncOp gpu::buildStore(ModuleOp module, StringRef name) {
  Emitter code(module.getLoc(), module.getContext());
  LLVM::LLVMFuncOp func = createKernel(
      code, module, name, {code.pointer(kGlobal), code.i32(), code.i32()},
      /*threads=*/32);
  auto args = func.getArguments();
  // Blocks and threads there may be more of.
  Value first =
      code.both(code.isEqual(code.thread(), 0), code.isEqual(code.block(), 0));
  code.storeIf(first, args[2],
               code.at(args[0], code.mul(code.widen(args[1]), 4)));
  LLVM::ReturnOp::create(code, ValueRange());
  return func;
}
