//===- NVIDIATarget.cpp - NVIDIA's GPUs as a target -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/NVIDIA/NVIDIATarget.h"

#include "Figures.h"
#include "Image.h"

#include "moe-mlir/Target/GPU/Common/GPUTarget.h"
#include "moe-mlir/Target/GPU/NVIDIA/Passes.h"

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
     true},
    {"sm_120", "sm_120", "NVIDIA Blackwell (RTX 50, RTX PRO), products of warps",
     false}};

namespace {
class NVIDIATarget : public GPUTarget {
public:
  StringRef getName() const override { return "nvidia"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<moegpu::MoeGpuDialect, moenvidia::MoeNvidiaDialect,
                    NVVM::NVVMDialect>();
    registerAllToLLVMIRTranslations(registry);
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    GPUTarget::getDependentDialects(registry);
    registry.insert<moenvidia::MoeNvidiaDialect, NVVM::NVVMDialect>();
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
    ChipCode code = GPUTarget::getCode(chip);
    code.multipliesE4M3 = cast<TargetAttr>(chip).getWgmma();
    return code;
  }

  std::vector<std::pair<std::string, int64_t>>
  getRates(moek::TargetAttrInterface chip) const override {
    return nvidia::getRates(cast<TargetAttr>(chip).getCpu());
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
    // Lists that nobody reads would be made on the host.
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createConvertMoekToNVVM());
    pm.addPass(createConvertGpuToNVVM());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

protected:
  std::unique_ptr<Pass> createSerializer() const override {
    return createSerializeKernels();
  }

  bool printImage(StringRef image, SmallVectorImpl<char> &output,
                  std::string &) const override {
    llvm::append_range(output, nvidia::getPTX(image));
    return true;
  }

  bool writeImage(StringRef image, SmallVectorImpl<char> &output,
                  std::string &error) const override {
    return printImage(image, output, error);
  }

  bool assembleImage(std::string &image, moek::TargetAttrInterface chip,
                     const CodeOptions &options,
                     std::string &error) const override {
    if (options.ptxas.empty())
      return true;
    std::string cubin, printed;
    StringRef ptx = nvidia::getPTX(image);
    if (!nvidia::assemble(ptx, cast<TargetAttr>(chip).getCpu(), options.ptxas,
                          cubin, printed, error))
      return false;
    image = nvidia::makeImage(ptx, cubin);
    return true;
  }

  bool describeImage(StringRef image, moek::TargetAttrInterface chip,
                     const CodeOptions &options,
                     std::vector<KernelFacts> &facts,
                     std::string &error) const override {
    StringRef ptx = nvidia::getPTX(image),
              cpu = cast<TargetAttr>(chip).getCpu();
    std::string cubin, printed;
    if (!options.ptxas.empty() &&
        !nvidia::assemble(ptx, cpu, options.ptxas, cubin, printed, error))
      return false;
    nvidia::describe(ptx, printed, cpu, facts);
    return true;
  }

  /// Code for `sm_90a` is for that chip alone, code for `sm_80` for later ones,
  /// too.
  std::vector<moe_cpu_models>
  getModels(moek::TargetAttrInterface chip) const override {
    StringRef number = cast<TargetAttr>(chip).getCpu();
    uint64_t model;
    if (!number.consume_front("sm_") || number.consumeInteger(10, model))
      return {};
    constexpr uint64_t kLast = 9999;
    return {{model, number.empty() ? kLast : model}};
  }

  StringRef getProductRate(moek::GroupedMatmulOp matmul) const override {
    auto schedule = moenvidia::getSchedule(matmul);
    return schedule && schedule.getRows() == moenvidia::Rows::E4M3
               ? "tensor_e4m3"
               : "tensor_bf16";
  }

  bool narrowsRows() const override { return true; }
};
} // namespace

std::unique_ptr<Target> moe::createNVIDIATarget() {
  return std::make_unique<NVIDIATarget>();
}
