//===- Kernel.cpp - What all kernels begin with -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/Emitter.h"

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
