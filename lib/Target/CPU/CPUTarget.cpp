//===- CPUTarget.cpp - CPUs as a target -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/CPU/CPUTarget.h"

#include "moe-mlir/Conversion/LinalgToVector/Passes.h"
#include "moe-mlir/Conversion/MoeToMoek/Passes.h"
#include "moe-mlir/Lowering/Passes.h"
#include "moe-mlir/Target/CPU/CodeGenerator.h"
#include "moe-mlir/Target/CPU/KnownCPUs.h"
#include "moe-mlir/Target/CPU/Passes.h"
#include "moe-mlir/Target/LLVMCode.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/ArmNeon/ArmNeonDialect.h"
#include "mlir/Dialect/ArmSVE/IR/ArmSVEDialect.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Index/IR/IndexDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/Passes.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/Passes.h"

#include "ChipFile.h"
#include "CostModel.h"
#include "Variations.h"

using namespace mlir;
using namespace moe;
using moecpu::TargetAttr;

/// Without those that are none: the attribute of their row is not valid.
template <typename Texts>
static std::vector<moe_cpu_models> parseModels(const Texts &texts) {
  std::vector<moe_cpu_models> models;
  for (StringRef text : texts)
    if (std::optional<moecpu::ModelRange> range =
            moecpu::ModelRange::parse(text))
      models.push_back({range->first, range->last});
  return models;
}

namespace {
class CPUTarget : public Target {
public:
  StringRef getName() const override { return "cpu"; }

  void registerDialects(DialectRegistry &registry) const override {
    registry.insert<moecpu::MoeCpuDialect>();
    mlir::registerAllDialects(registry);
    mlir::registerAllExtensions(registry);
    registerAllToLLVMIRTranslations(registry);
  }

  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<
        affine::AffineDialect, arith::ArithDialect, arm_neon::ArmNeonDialect,
        arm_sve::ArmSVEDialect, cf::ControlFlowDialect, func::FuncDialect,
        index::IndexDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
        math::MathDialect, memref::MemRefDialect, moecpu::MoeCpuDialect,
        moert::MoeRtDialect, scf::SCFDialect, tensor::TensorDialect,
        ub::UBDialect, vector::VectorDialect, x86vector::X86VectorDialect>();
  }

  //===--------------------------------------------------------------------===//
  // Chips
  //===--------------------------------------------------------------------===//

  std::vector<ChipInfo> getChips() const override {
    std::vector<ChipInfo> chips;
    for (const KnownCpu *cpu : getKnownCpus())
      chips.push_back(
          {cpu->name,
           (moecpu::stringifyArch(cpu->arch) + ", vectors of " +
            Twine(cpu->lanes) + " f32" +
            (cpu->summary.empty() ? "" : "; " + cpu->summary))
               .str(),
           isNative(*cpu),
           cpu->isDefault && cpu->arch == getHostArchitecture().arch,
           parseModels(cpu->models)});
    return chips;
  }

  moek::TargetAttrInterface getChip(MLIRContext *context,
                                    StringRef name) const override {
    const KnownCpu *cpu = findKnownCpu(name);
    if (!cpu)
      return {};
    context->getOrLoadDialect<moecpu::MoeCpuDialect>();
    return getTargetAttr(context, *cpu);
  }

  moek::TargetAttrInterface parseChip(MLIRContext *context,
                                      const llvm::json::Object &chip,
                                      std::string &error) const override {
    context->getOrLoadDialect<moecpu::MoeCpuDialect>();
    return parseCpu(context, chip, error);
  }

  llvm::json::Object
  describeChip(moek::TargetAttrInterface chip) const override {
    return describeCpu(cast<TargetAttr>(chip));
  }

  ChipCode getCode(moek::TargetAttrInterface chip) const override {
    auto cpu = cast<TargetAttr>(chip);
    ChipCode code;
    code.platform = getArchitecture(cpu.getArch());
    const KnownCpu *row = findKnownCpu(cpu.getName());
    code.suffix = "__";
    if (row)
      code.suffix += row->suffix;
    else
      for (char c : cpu.getName())
        code.suffix += llvm::isAlnum(c) ? c : '_';
    for (Attribute need : cpu.getNeeds())
      for (const CpuFeature &feature : getCpuFeatures())
        if (cast<StringAttr>(need) == feature.name)
          code.needs |= feature.bit;
    code.models = parseModels(cpu.getModels());
    code.narrowsRows = cpu.has("dot_bf16") || cpu.has("mmla_bf16");
    code.multipliesBytes = CpuCostModel(cpu).selectInt8().has_value();
    return code;
  }

  bool sharesLayout(moek::TargetAttrInterface a,
                    moek::TargetAttrInterface b) const override {
    return cast<TargetAttr>(a).has("mmla_bf16") ==
           cast<TargetAttr>(b).has("mmla_bf16");
  }

  //===--------------------------------------------------------------------===//
  // Stages
  //===--------------------------------------------------------------------===//

  void buildPlanPipeline(OpPassManager &pm, moek::TargetAttrInterface chip,
                         const PlanOptions &options) const override {
    // Kernels of other targets have no use for rows that another one prepares.
    pm.addNestedPass<func::FuncOp>(createStreamAttention());
    pm.addPass(createFuseInputNorm());
    pm.addPass(createJoinRouters());
    SelectScheduleOptions schedule;
    schedule.keepLayout = options.keepLayout;
    pm.addPass(createSelectSchedule(schedule));
  }

  void buildKernelPipeline(OpPassManager &pm,
                           moek::TargetAttrInterface chip) const override {
    auto cpu = cast<TargetAttr>(chip);
    // Ordinary IR first: its patterns then need not look at the kernels' code,
    // which is large and needs none of them.
    pm.addNestedPass<func::FuncOp>(createForallToParallelLoopPass());
    ConvertLinalgToVectorOptions loops;
    loops.wide = cpu.getLanes() >= 16 && cpu.getRegisters() >= 32;
    pm.addNestedPass<func::FuncOp>(createConvertLinalgToVector(loops));
    pm.addPass(createConvertLinalgToLoopsPass());
    pm.addPass(createConvertVectorToSCFPass());
    pm.addPass(createExpandCopiesPass());
    pm.addPass(createConvertMoekToVector());
    pm.addPass(createCanonicalizerPass());
    pm.addPass(createCSEPass());
  }

  void buildCodePipeline(OpPassManager &pm,
                         moek::TargetAttrInterface chip) const override {
    auto cpu = cast<TargetAttr>(chip);
    bool isArm = cpu.getArch() == moecpu::Arch::AArch64;
    pm.addPass(createApproximateVectorMathPass());
    pm.addPass(createExpandReshapesPass());
    pm.addPass(memref::createExpandStridedMetadataPass());
    pm.addPass(createLowerAffinePass());
    pm.addPass(createSCFToControlFlowPass());
    pm.addPass(createLowerChecksPass());
    ExpandSmallFloatsPassOptions floats;
    // LLVM writes out by itself what AArch64 lacks.
    floats.native = isArm || cpu.has("dot_bf16");
    pm.addPass(createExpandSmallFloatsPass(floats));
    pm.addPass(arith::createArithExpandOpsPass());
    ConvertVectorToLLVMPassOptions vector;
    vector.x86Vector = !isArm;
    vector.armNeon = isArm;
    vector.armSVE = cpu.getScalable();
    pm.addPass(createConvertMathToLLVMPass());
    // Only what has no intrinsic is left; these calls are scalar, and take
    // vectors apart.
    pm.addPass(createConvertMathToLibmPass());
    pm.addPass(createConvertVectorToLLVMPass(vector));
    buildToLLVMPipeline(pm);
  }

  Variations getVariations(moek::TargetAttrInterface chip) const override {
    return getCpuVariations(cast<TargetAttr>(chip));
  }

  std::optional<KernelCost>
  estimate(Operation *kernel, moek::TargetAttrInterface chip,
           const CostContext &context) const override {
    return CpuCostModel(cast<TargetAttr>(chip)).estimate(kernel, context);
  }

  bool emit(ModuleOp module, moek::TargetAttrInterface chip,
            const CodeOptions &options, CodeKind kind,
            SmallVectorImpl<char> &output, std::string &error) const override {
    auto cpu = cast<TargetAttr>(chip);
    GeneratorTarget target{{getArchitecture(cpu.getArch()), cpu.getCpu().str(),
                            cpu.getFeatures().str()},
                           cpu.getLanes()};
    return emitLLVM(module, target.cpu, options, kind, output, error,
                    [&](llvm::Module &code, std::string &error) {
                      return generateFunctions(module, target, code, error);
                    });
  }
};
} // namespace

std::unique_ptr<Target> moe::createCPUTarget() {
  return std::make_unique<CPUTarget>();
}
