//===- LLVMCode.cpp - Machine code by LLVM ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/LLVMCode.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Analysis/CGSCCPassManager.h"
#include "llvm/Analysis/LoopAnalysisManager.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/AlwaysInliner.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

#include <mutex>

using namespace moe;

void moe::buildToLLVMPipeline(mlir::OpPassManager &pm) {
  using namespace mlir;
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

static std::unique_ptr<llvm::TargetMachine>
createMachine(const LLVMCpu &cpu, unsigned level, std::string &error) {
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
  });
  llvm::Triple triple(cpu.platform.triple);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return nullptr;
  llvm::TargetOptions options;
  // LLVM's own mode fuses what vector.fma becomes and nothing else, so that
  // all CPUs give the same bits.
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  auto codegen = llvm::CodeGenOpt::getLevel(level);
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, cpu.cpu, cpu.features, options, llvm::Reloc::PIC_, std::nullopt,
      codegen.value_or(llvm::CodeGenOptLevel::Default)));
  if (!machine)
    error = "LLVM has no code generator for " + triple.str();
  return machine;
}

/// What MLIR's conversions leave is mostly struct shuffling and loop-invariant
/// address arithmetic of scalar code; kernels are final already.
static void cleanUp(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager lam;
  llvm::FunctionAnalysisManager fam;
  llvm::CGSCCAnalysisManager cgam;
  llvm::ModuleAnalysisManager mam;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  // What was added from elsewhere may ask for it.
  llvm::AlwaysInlinerPass(/*InsertLifetime=*/false).run(module, mam);
  llvm::FunctionPassManager fpm;
  fpm.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  fpm.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/false));
  fpm.addPass(llvm::SimplifyCFGPass());
  fpm.addPass(llvm::createFunctionToLoopPassAdaptor(
      llvm::LICMPass(llvm::LICMOptions()), /*UseMemorySSA=*/true));
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      fpm.run(function, fam);
}

static std::unique_ptr<llvm::Module>
translate(mlir::ModuleOp module, llvm::LLVMContext &context, const LLVMCpu &cpu,
          llvm::TargetMachine &machine, bool optimize, AddCode addCode,
          std::string &error) {
  std::unique_ptr<llvm::Module> result =
      mlir::translateModuleToLLVMIR(module, context, "moe");
  if (!result) {
    error = "translation to LLVM IR failed";
    return nullptr;
  }
  result->setDataLayout(machine.createDataLayout());
  result->setTargetTriple(machine.getTargetTriple());
  // Kernels never unwind: no tables for it.
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // So that other tools compile the text for the same CPU.
    function.addFnAttr("target-cpu", cpu.cpu);
    if (!cpu.features.empty())
      function.addFnAttr("target-features", cpu.features);
  }
  if (addCode && !addCode(*result, error))
    return nullptr;
  if (optimize)
    cleanUp(*result, machine);
  return result;
}

static bool emit(llvm::Module &module, llvm::TargetMachine &machine,
                 llvm::CodeGenFileType kind,
                 llvm::SmallVectorImpl<char> &output, std::string &error) {
  llvm::raw_svector_ostream os(output);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, os, nullptr, kind,
                                  /*DisableVerify=*/true)) {
    error = "LLVM cannot emit this kind of file";
    return false;
  }
  passes.run(module);
  return true;
}

bool moe::emitLLVM(mlir::ModuleOp module, const LLVMCpu &cpu,
                   const CodeOptions &options, CodeKind kind,
                   llvm::SmallVectorImpl<char> &output, std::string &error,
                   AddCode addCode) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createMachine(cpu, options.level, error);
  if (!machine)
    return false;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code = translate(
      module, context, cpu, *machine, options.optimizeIR, addCode, error);
  if (!code)
    return false;
  if (kind == CodeKind::Kernels) {
    error = "there are no kernels in code for a CPU";
    return false;
  }
  if (kind == CodeKind::LLVMIR) {
    llvm::raw_svector_ostream os(output);
    code->print(os, nullptr);
    return true;
  }
  return emit(*code, *machine,
              kind == CodeKind::Assembly ? llvm::CodeGenFileType::AssemblyFile
                                         : llvm::CodeGenFileType::ObjectFile,
              output, error);
}

bool moe::emitObject(llvm::Module &module, const LLVMCpu &cpu,
                     const CodeOptions &options,
                     llvm::SmallVectorImpl<char> &output, std::string &error) {
  std::unique_ptr<llvm::TargetMachine> machine =
      createMachine(cpu, options.level, error);
  if (!machine)
    return false;
  module.setDataLayout(machine->createDataLayout());
  module.setTargetTriple(machine->getTargetTriple());
  return emit(module, *machine, llvm::CodeGenFileType::ObjectFile, output,
              error);
}
