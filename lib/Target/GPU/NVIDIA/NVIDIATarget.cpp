//===- NVIDIATarget.cpp - NVIDIA's GPUs as a target -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The code of a chip is a function for the host, which chooses kernels and
// their sizes and starts them by a hook of the runtime, and the kernels as PTX
// in it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/NVIDIATarget.h"

#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"
#include "moe-mlir/Target/LLVMCode.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace moe;
using moenvidia::TargetAttr;

/// Those with a name, the better ones last.
static constexpr struct {
  StringLiteral name, cpu, summary;
  bool wgmma;
} kChips[] = {
    {"sm_80", "sm_80", "NVIDIA Ampere and later, products of warps", false},
    {"sm_90a", "sm_90a", "NVIDIA Hopper (H100, H200), products of warpgroups",
     true}};

namespace {
class NVIDIATarget : public Target {
public:
  StringRef getName() const override { return "nvidia"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<moegpu::MoeGpuDialect, moenvidia::MoeNvidiaDialect,
                    NVVM::NVVMDialect>();
    registerAllToLLVMIRTranslations(registry);
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<arith::ArithDialect, cf::ControlFlowDialect,
                    func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                    math::MathDialect, memref::MemRefDialect,
                    moegpu::MoeGpuDialect, moenvidia::MoeNvidiaDialect,
                    moert::MoeRtDialect, NVVM::NVVMDialect, scf::SCFDialect,
                    tensor::TensorDialect, vector::VectorDialect>();
  }

  //===--------------------------------------------------------------------===//
  // Chips
  //===--------------------------------------------------------------------===//

  std::vector<ChipInfo> getChips() const override {
    std::vector<ChipInfo> chips;
    for (const auto &chip : kChips)
      chips.push_back({chip.name.str(), chip.summary.str(),
                       /*isNative=*/false, /*isDefault=*/false});
    return chips;
  }

  moek::TargetAttrInterface getChip(MLIRContext *context,
                                    StringRef name) const override {
    context->getOrLoadDialect<moenvidia::MoeNvidiaDialect>();
    for (const auto &chip : kChips)
      if (chip.name == name)
        return TargetAttr::get(context, chip.name, chip.cpu, chip.wgmma);
    return {};
  }

  moek::TargetAttrInterface parseChip(MLIRContext *context,
                                      const llvm::json::Object &chip,
                                      std::string &error) const override {
    context->getOrLoadDialect<moenvidia::MoeNvidiaDialect>();
    std::optional<StringRef> name = chip.getString("name"),
                             cpu = chip.getString("cpu");
    std::optional<bool> wgmma = chip.getBoolean("wgmma");
    if (!name || !cpu || !wgmma || chip.size() != 3) {
      error = "expected the strings 'name' and 'cpu' and the boolean 'wgmma'";
      return {};
    }
    return TargetAttr::get(context, *name, *cpu, *wgmma);
  }

  llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const override {
    auto gpu = cast<TargetAttr>(chip);
    return llvm::json::Object{{"name", gpu.getName()},
                              {"cpu", gpu.getCpu()},
                              {"wgmma", gpu.getWgmma()}};
  }

  ChipCode getCode(moek::TargetAttrInterface chip) const override {
    ChipCode code;
    code.platform = getHostPlatform();
    code.suffix = "__";
    for (char c : chip.getChipName())
      code.suffix += llvm::isAlnum(c) ? c : '_';
    code.device = getName();
    code.narrowsRows = true;
    return code;
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  void buildPlanPipeline(OpPassManager &pm, moek::TargetAttrInterface,
                         const PlanOptions &) const override {
    pm.addPass(createSelectNVIDIASchedule());
  }

  void buildKernelPipeline(OpPassManager &pm,
                           moek::TargetAttrInterface) const override {
    pm.addPass(createConvertMoekToNVVM());
    pm.addPass(createConvertGpuToNVVM());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

  void buildCodePipeline(OpPassManager &pm,
                         moek::TargetAttrInterface) const override {
    pm.addPass(createSerializeKernels());
    pm.addPass(createExpandReshapesPass());
    pm.addPass(memref::createExpandStridedMetadataPass());
    pm.addPass(createLowerAffinePass());
    pm.addPass(createSCFToControlFlowPass());
    pm.addPass(createLowerChecksPass());
    pm.addPass(arith::createArithExpandOpsPass());
    pm.addPass(createFinalizeMemRefToLLVMConversionPass());
    pm.addPass(createConvertIndexToLLVMPass());
    pm.addPass(createArithToLLVMConversionPass());
    pm.addPass(createConvertControlFlowToLLVMPass());
    pm.addPass(createUBToLLVMConversionPass());
    pm.addPass(createConvertFuncToLLVMPass());
    pm.addPass(createReconcileUnrealizedCastsPass());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

  bool emit(ModuleOp module, moek::TargetAttrInterface chip,
            const CodeOptions &options, CodeKind kind,
            SmallVectorImpl<char> &output, std::string &error) const override {
    if (kind != CodeKind::Assembly) {
      const HostPlatform &host = getHostPlatform();
      return emitLLVM(module, {host, host.baseCpu, ""}, options, kind, output,
                      error);
    }
    // That of the kernels; the host's has it as a text.
    for (auto global : module.getOps<LLVM::GlobalOp>())
      if (global.getSymName().ends_with("_code"))
        llvm::append_range(
            output,
            cast<StringAttr>(global.getValueOrNull()).getValue().drop_back());
    return true;
  }
};
} // namespace

std::unique_ptr<Target> moe::createNVIDIATarget() {
  return std::make_unique<NVIDIATarget>();
}
