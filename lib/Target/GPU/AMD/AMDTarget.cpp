//===- AMDTarget.cpp - AMD's GPUs as a target -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/AMD/AMDTarget.h"

#include "CodeObject.h"
#include "Figures.h"

#include "moe-mlir/Target/GPU/AMD/Passes.h"
#include "moe-mlir/Target/GPU/Common/GPUTarget.h"

#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace moe;
using moeamd::TargetAttr;

/// Those with a name, the better ones last.
static constexpr struct {
  StringLiteral name, summary;
  int64_t depth;
} kChips[] = {{"gfx90a", "AMD CDNA 2 (MI210, MI250)", 8},
              {"gfx942", "AMD CDNA 3 (MI300, MI325)", 8},
              {"gfx950", "AMD CDNA 4 (MI350, MI355)", 16}};

namespace {
class AMDTarget : public GPUTarget {
public:
  StringRef getName() const override { return "amd"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<moeamd::MoeAmdDialect, moegpu::MoeGpuDialect,
                    ROCDL::ROCDLDialect>();
    registerAllToLLVMIRTranslations(registry);
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    GPUTarget::getDependentDialects(registry);
    registry.insert<moeamd::MoeAmdDialect, ROCDL::ROCDLDialect>();
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
    context->getOrLoadDialect<moeamd::MoeAmdDialect>();
    for (const auto &chip : kChips)
      if (chip.name == name)
        return TargetAttr::get(context, chip.name, /*cpu=*/chip.name,
                               chip.depth);
    return {};
  }

  moek::TargetAttrInterface parseChip(MLIRContext *context,
                                      const llvm::json::Object &chip,
                                      std::string &error) const override {
    context->getOrLoadDialect<moeamd::MoeAmdDialect>();
    std::optional<StringRef> name = chip.getString("name"),
                             cpu = chip.getString("cpu");
    std::optional<int64_t> depth = chip.getInteger("depth");
    if (!name || !cpu || !depth || (*depth != 8 && *depth != 16) ||
        chip.size() != 3) {
      error = "expected the strings 'name' and 'cpu' and 'depth', 8 or 16";
      return {};
    }
    return TargetAttr::get(context, *name, *cpu, *depth);
  }

  llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const override {
    auto gpu = cast<TargetAttr>(chip);
    return llvm::json::Object{{"name", gpu.getName()},
                              {"cpu", gpu.getCpu()},
                              {"depth", gpu.getDepth()}};
  }

  std::vector<std::pair<std::string, int64_t>>
  getRates(moek::TargetAttrInterface chip) const override {
    return amd::getRates(cast<TargetAttr>(chip).getCpu());
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  void buildPlanPipeline(OpPassManager &pm, moek::TargetAttrInterface,
                         const PlanOptions &) const override {
    pm.addPass(createSelectAMDSchedule());
  }

  void buildKernelPipeline(OpPassManager &pm,
                           moek::TargetAttrInterface) const override {
    // Lists that nobody reads would be made on the host.
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createConvertMoekToROCDL());
    pm.addPass(createConvertGpuToROCDL());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

protected:
  std::unique_ptr<Pass> createSerializer() const override {
    return createSerializeAMDKernels();
  }

  bool printImage(StringRef image, SmallVectorImpl<char> &output,
                  std::string &) const override {
    llvm::append_range(output, image);
    return true;
  }

  /// Images are assembly up to here, so that what is printed is what is
  /// assembled.
  bool assembleImage(std::string &image, moek::TargetAttrInterface chip,
                     const CodeOptions &, std::string &error) const override {
    std::string object;
    if (!amd::makeCodeObject(image, cast<TargetAttr>(chip).getCpu(), object,
                             error))
      return false;
    image = std::move(object);
    return true;
  }

  bool describeImage(StringRef image, moek::TargetAttrInterface chip,
                     const CodeOptions &, std::vector<KernelFacts> &facts,
                     std::string &) const override {
    amd::describe(image, cast<TargetAttr>(chip).getCpu(), facts);
    return true;
  }

  /// `gfx90a`: decimal major, hexadecimal minor and stepping, of which the
  /// driver tells the first two.
  std::vector<moe_cpu_models>
  getModels(moek::TargetAttrInterface chip) const override {
    StringRef number = cast<TargetAttr>(chip).getCpu();
    uint64_t major, minor;
    if (!number.consume_front("gfx") || number.size() < 3 ||
        number.drop_back(2).getAsInteger(10, major) ||
        number.drop_back(1).take_back(1).getAsInteger(16, minor))
      return {};
    uint64_t model = major * 10 + minor;
    return {{model, model}};
  }

  bool narrowsRows() const override { return true; }
};
} // namespace

std::unique_ptr<Target> moe::createAMDTarget() {
  return std::make_unique<AMDTarget>();
}
