//===- GPUTarget.cpp - What targets of GPUs do alike ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/GPUTarget.h"

#include "moe-mlir/Lowering/Images.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Target/KernelFacts.h"
#include "moe-mlir/Target/LLVMCode.h"
#include "moe_gpu/MoeGpu.h"
#include "moe_rt/MoeRt.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace moe;

void moe::replaceByImage(ModuleOp kernels, StringRef image) {
  auto module = kernels->getParentOfType<ModuleOp>();
  std::string name = getImageName(*kernels.getSymName());
  OpBuilder b(kernels);
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), image.size());
  if (auto declared = module.lookupSymbol<LLVM::GlobalOp>(name))
    declared.erase();
  LLVM::GlobalOp::create(b, kernels.getLoc(), type, /*isConstant=*/true,
                         LLVM::Linkage::Internal, name, b.getStringAttr(image),
                         /*alignment=*/8);
  kernels.erase();
}

void GPUTarget::getDependentDialects(DialectRegistry &registry) const {
  registry
      .insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect,
              linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect,
              memref::MemRefDialect, moegpu::MoeGpuDialect, moert::MoeRtDialect,
              scf::SCFDialect, tensor::TensorDialect, vector::VectorDialect>();
}

ChipCode GPUTarget::getCode(moek::TargetAttrInterface chip) const {
  ChipCode code;
  code.platform = getHostPlatform();
  code.suffix = "__";
  for (char c : chip.getChipName())
    code.suffix += llvm::isAlnum(c) ? c : '_';
  code.device = getName();
  code.models = getModels(chip);
  code.narrowsRows = narrowsRows();
  return code;
}

void GPUTarget::buildCodePipeline(OpPassManager &pm,
                                  moek::TargetAttrInterface) const {
  pm.addPass(createSerializer());
  pm.addPass(createExpandReshapesPass());
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(createLowerChecksPass());
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createConvertMathToLLVMPass());
  buildToLLVMPipeline(pm);
}

bool GPUTarget::writeImage(StringRef, SmallVectorImpl<char> &,
                           std::string &error) const {
  error = "kernels for " + getName().str() + " have no form of their own";
  return false;
}

/// The constants with the kernels of a module, and their bytes.
static SmallVector<std::pair<LLVM::GlobalOp, StringRef>>
getImages(ModuleOp module) {
  SmallVector<std::pair<LLVM::GlobalOp, StringRef>> images;
  for (auto global : module.getOps<LLVM::GlobalOp>())
    if (global.getSymName().ends_with(kImageSuffix))
      images.emplace_back(global,
                          cast<StringAttr>(global.getValueOrNull()).getValue());
  return images;
}

bool GPUTarget::describeKernels(ModuleOp module, moek::TargetAttrInterface chip,
                                const CodeOptions &options,
                                std::vector<KernelFacts> &facts,
                                std::string &error) const {
  for (auto [global, image] : getImages(module))
    if (!describeImage(image, chip, options, facts, error))
      return false;
  return true;
}

bool GPUTarget::emit(ModuleOp module, moek::TargetAttrInterface chip,
                     const CodeOptions &options, CodeKind kind,
                     SmallVectorImpl<char> &output, std::string &error) const {
  auto images = getImages(module);
  switch (kind) {
  case CodeKind::Assembly:
    // That of the kernels; the host's has it as a constant.
    for (auto [global, image] : images)
      if (!printImage(image, output, error))
        return false;
    return true;
  case CodeKind::Kernels:
    for (auto [global, image] : images)
      if (!writeImage(image, output, error))
        return false;
    return true;
  case CodeKind::Object:
  case CodeKind::LLVMIR:
    break;
  }
  for (auto [global, image] : images) {
    std::string assembled = image.str();
    if (!assembleImage(assembled, chip, options, error))
      return false;
    Builder b(module.getContext());
    global.setGlobalType(
        LLVM::LLVMArrayType::get(b.getI8Type(), assembled.size()));
    global.setValueAttr(b.getStringAttr(assembled));
  }
  const HostPlatform &host = getHostPlatform();
  return emitLLVM(module, {host, host.baseCpu, ""}, options, kind, output,
                  error);
}
