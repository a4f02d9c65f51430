//===- Kernel.cpp - Kernels that are given tensor maps ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Emitter.h"

using namespace mlir;
using namespace moe::nvidia;

LLVM::LLVMFuncOp moe::nvidia::createKernel(Emitter &code, ModuleOp module,
                                           StringRef name, TypeRange arguments,
                                           int64_t threads, int64_t resident) {
  SmallVector<Type> types(arguments);
  for (Type &type : types)
    if (type == code.mapType())
      type = code.pointer(0);
  LLVM::LLVMFuncOp func =
      gpu::createKernel(code, module, name, types, threads, resident);
  // The attributes of maps ask for this one.
  func->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), code.getUnitAttr());
  for (auto [i, type] : llvm::enumerate(arguments))
    if (type == code.mapType()) {
      func.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(),
                      TypeAttr::get(type));
      func.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                      code.getI32IntegerAttr(64));
      func.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(),
                      code.getUnitAttr());
    }
  return func;
}
