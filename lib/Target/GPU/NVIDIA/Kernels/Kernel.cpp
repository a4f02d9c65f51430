//===- Kernel.cpp - What all kernels begin with -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Emitter.h"

using namespace mlir;
using namespace moe::nvidia;

LLVM::LLVMFuncOp moe::nvidia::createKernel(Emitter &code, ModuleOp module,
                                           StringRef name, TypeRange arguments,
                                           int64_t threads, int64_t blocks) {
  code.setInsertionPointToEnd(module.getBody());
  if (!module.lookupSymbol("dynamic_shared"))
    LLVM::GlobalOp::create(code, LLVM::LLVMArrayType::get(code.getI8Type(), 0),
                           /*isConstant=*/false, LLVM::Linkage::External,
                           "dynamic_shared", Attribute(), /*alignment=*/1024,
                           kShared);
  SmallVector<Type> types(arguments);
  for (Type &type : types)
    if (type == code.mapType())
      type = code.pointer(0);
  auto func = LLVM::LLVMFuncOp::create(
      code, name,
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(code.getContext()),
                                  types));
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
  func->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(),
                code.getDenseI32ArrayAttr({static_cast<int32_t>(threads)}));
  func->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                code.getI32IntegerAttr(static_cast<int32_t>(blocks)));
  code.setInsertionPointToStart(func.addEntryBlock(code));
  if (module->hasAttr(kOverlapsAttr)) {
    // All that this kernel reads is of kernels before, whose memory it may
    // write, too; the next one does the same.
    NVVM::GriddepcontrolOp::create(code, NVVM::GridDepActionKind::wait);
    NVVM::GriddepcontrolOp::create(code,
                                   NVVM::GridDepActionKind::launch_dependents);
  }
  return func;
}
