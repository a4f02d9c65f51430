//===- VulkanTarget.cpp - Devices of Vulkan as a target ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Vulkan/VulkanTarget.h"

#include "SPIRV.h"

#include "moe-mlir/Target/GPU/Common/GPUTarget.h"
#include "moe-mlir/Target/GPU/Vulkan/Passes.h"

#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace moe;
using moevulkan::TargetAttr;

static constexpr StringLiteral kChip = "vulkan";

namespace {
class VulkanTarget : public GPUTarget {
public:
  StringRef getName() const override { return "vulkan"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<moegpu::MoeGpuDialect, moevulkan::MoeVulkanDialect,
                    spirv::SPIRVDialect>();
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    GPUTarget::getDependentDialects(registry);
    registry.insert<moevulkan::MoeVulkanDialect, spirv::SPIRVDialect>();
  }

  //===--------------------------------------------------------------------===//
  // Chips
  //===--------------------------------------------------------------------===//

  std::vector<ChipInfo> getChips() const override {
    return {{kChip.str(), "Any device of Vulkan 1.2, SPIR-V",
             /*isNative=*/false, /*isDefault=*/false}};
  }

  moek::TargetAttrInterface getChip(MLIRContext *context,
                                    StringRef name) const override {
    context->getOrLoadDialect<moevulkan::MoeVulkanDialect>();
    if (name == kChip)
      return TargetAttr::get(context, name);
    return {};
  }

  moek::TargetAttrInterface parseChip(MLIRContext *context,
                                      const llvm::json::Object &chip,
                                      std::string &error) const override {
    context->getOrLoadDialect<moevulkan::MoeVulkanDialect>();
    std::optional<StringRef> name = chip.getString("name");
    if (!name || chip.size() != 1) {
      error = "expected the string 'name'";
      return {};
    }
    return TargetAttr::get(context, *name);
  }

  llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const override {
    return llvm::json::Object{{"name", cast<TargetAttr>(chip).getName()}};
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  void buildPlanPipeline(OpPassManager &pm, moek::TargetAttrInterface,
                         const PlanOptions &) const override {
    pm.addPass(createSelectVulkanSchedule());
  }

  void buildKernelPipeline(OpPassManager &pm,
                           moek::TargetAttrInterface) const override {
    // Lists that nobody reads would be made on the host.
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createConvertMoekToGPU());
    pm.addPass(createExpandVulkanExchanges());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

protected:
  std::unique_ptr<Pass> createSerializer() const override {
    return createSerializeVulkanKernels();
  }

  bool printImage(StringRef image, SmallVectorImpl<char> &output,
                  std::string &error) const override {
    return vulkan::printImage(image, output, error);
  }

  bool writeImage(StringRef image, SmallVectorImpl<char> &output,
                  std::string &error) const override {
    if (!output.empty()) {
      error = "there are several modules of kernels, and one file has one";
      return false;
    }
    llvm::append_range(output, vulkan::getModule(image));
    return true;
  }

  bool describeImage(StringRef image, moek::TargetAttrInterface,
                     const CodeOptions &, std::vector<KernelFacts> &facts,
                     std::string &error) const override {
    return vulkan::describeImage(image, facts, error);
  }
};
} // namespace

std::unique_ptr<Target> moe::createVulkanTarget() {
  return std::make_unique<VulkanTarget>();
}
