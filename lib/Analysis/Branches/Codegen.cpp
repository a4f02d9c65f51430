//===- Codegen.cpp - Machine code that knows its IR -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Debug locations carry the answer: code generation keeps the location of what
// an instruction was made from, so each IR instruction gets a line number of
// its own right before instruction selection. They emit no debug information
// and change no code; the caller compares the bytes with code made without.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Branches/Codegen.h"

#include "llvm/CodeGen/CodeGenTargetMachineImpl.h"
#include "llvm/CodeGen/MachineFunction.h"
#include "llvm/CodeGen/MachineFunctionPass.h"
#include "llvm/CodeGen/MachineModuleInfo.h"
#include "llvm/CodeGen/Passes.h"
#include "llvm/CodeGen/TargetInstrInfo.h"
#include "llvm/CodeGen/TargetPassConfig.h"
#include "llvm/CodeGen/TargetSubtargetInfo.h"
#include "llvm/IR/DIBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/MCSymbol.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace moe::branchcheck;

namespace {

/// One line number per instruction: its position here plus one.
using LineTable = std::vector<const Instruction *>;

/// Runs the analysis on the last IR, then numbers all instructions.
struct NumberLines : ModulePass {
  NumberLines(std::function<void(Module &)> analyze, LineTable &lines)
      : ModulePass(ID), analyze(std::move(analyze)), lines(lines) {}

  StringRef getPassName() const override { return "Analyze and number IR"; }

  bool runOnModule(Module &module) override {
    analyze(module);
    if (!module.getModuleFlag("Debug Info Version"))
      module.addModuleFlag(Module::Warning, "Debug Info Version",
                           DEBUG_METADATA_VERSION);
    DIBuilder builder(module, /*AllowUnresolved=*/false);
    DIFile *file = builder.createFile("ir", ".");
    builder.createCompileUnit(DISourceLanguageName(dwarf::DW_LANG_C), file, "",
                              /*isOptimized=*/true, "", 0, "",
                              DICompileUnit::DebugEmissionKind::NoDebug);
    auto *type = builder.createSubroutineType(builder.getOrCreateTypeArray({}));
    for (Function &function : module) {
      if (function.isDeclaration())
        continue;
      function.setSubprogram(builder.createFunction(
          file, function.getName(), function.getName(), file, 1, type, 1,
          DINode::FlagZero, DISubprogram::SPFlagDefinition));
      for (Instruction &instruction : instructions(function)) {
        lines.push_back(&instruction);
        instruction.setDebugLoc(DILocation::get(
            module.getContext(), lines.size(), 1, function.getSubprogram()));
      }
    }
    builder.finalize();
    return true;
  }

  static char ID;
  std::function<void(Module &)> analyze;
  LineTable &lines;
};
char NumberLines::ID = 0;

/// Reads the final machine code of each function.
struct ReadMachineCode : MachineFunctionPass {
  ReadMachineCode(const LineTable &lines, GeneratedCode &code)
      : MachineFunctionPass(ID), lines(lines), code(code) {}

  StringRef getPassName() const override { return "Read machine branches"; }

  void getAnalysisUsage(AnalysisUsage &usage) const override {
    usage.setPreservesAll();
    MachineFunctionPass::getAnalysisUsage(usage);
  }

  bool runOnMachineFunction(MachineFunction &function) override {
    MachineFacts &info = code.functions[function.getName()];
    const TargetInstrInfo &names = *function.getSubtarget().getInstrInfo();
    for (const MachineBasicBlock &block : function)
      for (const MachineInstr &instruction : block.instrs()) {
        if (instruction.isBundle())
          continue; // Its parts follow.
        if (instruction.isCall()) {
          readCall(instruction, info);
        } else if (instruction.isConditionalBranch() ||
                   instruction.isIndirectBranch()) {
          MachineBranch branch;
          branch.block = block.getBasicBlock();
          branch.indirect = instruction.isIndirectBranch();
          const DebugLoc &place = instruction.getDebugLoc();
          if (place && place.getLine() > 0 && place.getLine() <= lines.size())
            branch.origin = lines[place.getLine() - 1];
          raw_string_ostream os(branch.text);
          os << names.getName(instruction.getOpcode());
          info.branches.push_back(std::move(branch));
        }
      }
    return false;
  }

  void readCall(const MachineInstr &call, MachineFacts &info) {
    bool direct = false;
    for (const MachineOperand &operand : call.operands()) {
      std::string name;
      if (operand.isGlobal())
        name = operand.getGlobal()->getName().str();
      else if (operand.isSymbol())
        name = operand.getSymbolName();
      else if (operand.isMCSymbol())
        name = operand.getMCSymbol()->getName().str();
      else
        continue;
      direct = true;
      info.callees.insert(name);
    }
    if (!direct && call.isTerminator())
      ++info.indirectTailCalls;
  }

  static char ID;
  const LineTable &lines;
  GeneratedCode &code;
};
char ReadMachineCode::ID = 0;

} // namespace

bool moe::branchcheck::generate(Module &module, TargetMachine &machine,
                                std::function<void(Module &)> analyze,
                                GeneratedCode &code, std::string &error) {
  // Code generators of this kind are all that LLVM has.
  auto &target = static_cast<CodeGenTargetMachineImpl &>(machine);
  LineTable lines;
  bool analyzed = false;
  raw_svector_ostream os(code.object);
  legacy::PassManager passes;
  auto *machineModule = new MachineModuleInfoWrapperPass(&machine);
  TargetPassConfig *config = target.createPassConfig(passes);
  config->setDisableVerify(true);
  // The last pass over IR that makes or removes branches has no public name
  // but this one.
  std::unique_ptr<FunctionPass> last(createCodeGenPrepareLegacyPass());
  config->insertPass(last->getPassID(), new NumberLines(
                                            [&](Module &module) {
                                              analyzed = true;
                                              analyze(module);
                                            },
                                            lines));
  passes.add(config);
  passes.add(machineModule);
  if (config->addISelPasses()) {
    error = "LLVM has no instruction selection for this target";
    return false;
  }
  config->addMachinePasses();
  config->setInitialized();
  passes.add(new ReadMachineCode(lines, code));
  if (target.addAsmPrinter(passes, os, nullptr, CodeGenFileType::ObjectFile,
                           machineModule->getMMI().getContext())) {
    error = "LLVM cannot emit objects for this target";
    return false;
  }
  passes.add(createFreeMachineFunctionPass());
  passes.run(module);
  if (!analyzed) {
    error = "code generation without optimization has no codegenprepare pass";
    return false;
  }
  return true;
}
