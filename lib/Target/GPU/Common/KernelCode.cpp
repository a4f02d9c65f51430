//===- KernelCode.cpp - Kernels as text by LLVM -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Target/GPU/Common/KernelCode.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"

using namespace mlir;

static void optimize(llvm::Module &module, llvm::TargetMachine &machine) {
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
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, mam);
}

bool moe::gpu::emitAssembly(ModuleOp kernels, StringRef name, StringRef cpu,
                            function_ref<void(llvm::Module &)> prepare,
                            std::string &text, std::string &error) {
  llvm::Triple triple(name);
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return false;
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, cpu, "", {}, std::nullopt));
  if (!machine || !machine->getMCSubtargetInfo()->isCPUStringValid(cpu)) {
    error = ("LLVM has no code generator for " + cpu).str();
    return false;
  }
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(kernels, context, "kernels");
  if (!module) {
    error = "translation to LLVM IR failed";
    return false;
  }
  module->setDataLayout(machine->createDataLayout());
  module->setTargetTriple(triple);
  prepare(*module);
  optimize(*module, *machine);

  llvm::SmallVector<char> output;
  llvm::raw_svector_ostream os(output);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, os, nullptr,
                                   llvm::CodeGenFileType::AssemblyFile)) {
    error = "LLVM cannot emit assembly";
    return false;
  }
  passes.run(*module);
  text.assign(output.begin(), output.end());
  return true;
}
