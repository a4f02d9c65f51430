//===- PTX.cpp - The code of kernels ----------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "PTX.h"

#include "moe-mlir/Target/GPU/Common/KernelCode.h"

#include "llvm/Support/TargetSelect.h"

#include <mutex>

using namespace mlir;

bool moe::nvidia::emitPTX(ModuleOp kernels, StringRef cpu, std::string &ptx,
                          std::string &error) {
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  return gpu::emitAssembly(
      kernels, "nvptx64-nvidia-cuda", cpu, [](llvm::Module &) {}, ptx, error);
}
