//===- BranchCheck.cpp - No branch depends on data --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Branches/BranchCheck.h"

#include "moe-mlir/Analysis/Branches/Codegen.h"
#include "moe-mlir/Analysis/Branches/Disassembly.h"
#include "moe-mlir/Analysis/Branches/Taint.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/ModuleSlotTracker.h"
#include "llvm/Support/MemoryBufferRef.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace llvm;
using namespace moe::branchcheck;

namespace {

/// The verdict on one function of the module.
struct Judged : Verdict {
  const llvm::Function *ir = nullptr;
};

class Checker {
public:
  Checker(Module &module, TargetMachine &machine, const Options &options)
      : module(module), machine(machine), options(options) {}

  bool run(Result &result, std::string &error);

private:
  bool findDescriptors(std::string &error);
  bool analyze();
  void analyze(Judged &verdict);
  void checkCall(const CallBase &call, Judged &verdict);
  void checkMachineCode(Judged &verdict);
  void explain(raw_ostream &os, const Value *value);
  std::string print(const Value &value);
  std::string place(const Instruction &instruction);
  void countJumps(Judged &verdict);

  static bool matches(StringRef name, ArrayRef<std::string> patterns) {
    return any_of(patterns, [&](const std::string &pattern) {
      return Regex("^(" + pattern + ")$").match(name);
    });
  }

  Module &module;
  TargetMachine &machine;
  const Options &options;
  SmallVector<const Argument *> descriptors;
  std::unique_ptr<Taint> taint;
  std::unique_ptr<ModuleSlotTracker> slots;
  std::vector<Judged> verdicts;
  DenseMap<const Instruction *, std::string> places;
  GeneratedCode code;
  StringMap<DisassembledFunction> own, shipped;
};

} // namespace

std::string Checker::print(const Value &value) {
  std::string text;
  raw_string_ostream os(text);
  if (isa<Instruction>(value))
    value.print(os, *slots);
  else
    value.printAsOperand(os, /*PrintType=*/true, *slots);
  // The locations are ours, and long constants say little.
  StringRef line = StringRef(text).trim().split(", !dbg ").first;
  if (line.size() > 120)
    return (line.take_front(117) + "...").str();
  return line.str();
}

/// Where it is from, in the words of the one who wrote it.
std::string Checker::place(const Instruction &instruction) {
  std::string text = places.lookup(&instruction);
  if (!text.empty())
    return text;
  std::string block;
  raw_string_ostream os(block);
  instruction.getParent()->printAsOperand(os, /*PrintType=*/false, *slots);
  return "block " + block;
}

/// Why a value is tainted, down to where the data comes from.
void Checker::explain(raw_ostream &os, const Value *value) {
  SmallPtrSet<const Value *, 8> seen;
  for (unsigned steps = 0; value && seen.insert(value).second; ++steps) {
    const Cause *cause = taint->cause(value);
    if (!cause)
      break;
    if (steps == 12) {
      os << "\n      ...";
      break;
    }
    os << "\n      " << (steps ? "from " : "") << print(*value);
    if (cause->why)
      os << "\n      which is " << cause->why;
    value = cause->from;
  }
}

bool Checker::findDescriptors(std::string &error) {
  for (const std::string &text : options.sizeArguments) {
    auto [name, number] = StringRef(text).rsplit(':');
    const Function *function = module.getFunction(name);
    unsigned index;
    if (!function || number.getAsInteger(10, index) ||
        index >= function->arg_size() ||
        !function->getArg(index)->getType()->isPointerTy()) {
      error = "--size-argument=" + text +
              " names no pointer argument of a function in the module";
      return false;
    }
    descriptors.push_back(function->getArg(index));
  }
  return true;
}

void Checker::checkCall(const CallBase &call, Judged &verdict) {
  const Value *callee = call.getCalledOperand();
  if (call.isInlineAsm()) {
    verdict.problems.push_back(
        "holds inline assembly, which is not analysed: " + print(call));
    return;
  }
  const auto *function = dyn_cast<Function>(callee);
  if (!function) {
    if (!taint->isHook(callee))
      verdict.problems.push_back(
          "calls through a pointer that is no hook of the runtime, at " +
          place(call) + ": " + print(call));
    return;
  }
  if (!function->isDeclaration() || isa<IntrinsicInst>(call) ||
      function->getName() == "moe_rt_default" ||
      matches(function->getName(), options.allowedCalls))
    return;
  verdict.problems.push_back(("calls " + function->getName() +
                              ", whose branches are not here, at " +
                              place(call) + "; --allow-call accepts that")
                                 .str());
}

void Checker::analyze(Judged &verdict) {
  for (const Instruction &instruction : instructions(*verdict.ir)) {
    if (auto *call = dyn_cast<CallBase>(&instruction))
      checkCall(*call, verdict);
    if (!Taint::condition(instruction))
      continue;
    ++verdict.branches;
    if (!taint->isTainted(&instruction))
      continue;
    ++verdict.tainted;
    std::string text;
    raw_string_ostream os(text);
    os << "a branch depends on data, at " << place(instruction) << ":";
    explain(os, &instruction);
    verdict.problems.push_back(std::move(text));
  }
}

/// On the IR that instruction selection sees.
bool Checker::analyze() {
  taint = std::make_unique<Taint>(module, descriptors);
  slots = std::make_unique<ModuleSlotTracker>(&module);
  // Lines of the source are about to be replaced.
  for (const Function &function : module)
    for (const Instruction &instruction : instructions(function))
      if (const DebugLoc &place = instruction.getDebugLoc())
        if (place.getLine() != 0)
          places[&instruction] =
              (cast<DIScope>(place.getScope())->getFilename() + ":" +
               Twine(place.getLine()) + ":" + Twine(place.getCol()))
                  .str();

  // What matches, and all that its code mentions.
  Regex pattern(options.function);
  SetVector<const Function *> work;
  for (const Function &function : module)
    if (!function.isDeclaration() && pattern.match(function.getName()))
      work.insert(&function);
  for (unsigned i = 0; i < work.size(); ++i) {
    const Function *function = work[i];
    Judged verdict;
    verdict.ir = function;
    verdict.function = function->getName().str();
    verdict.byDesign = matches(function->getName(), options.allowed);
    slots->incorporateFunction(*function);
    analyze(verdict);
    verdicts.push_back(std::move(verdict));
    for (const Instruction &instruction : instructions(*function))
      for (const Use &use : instruction.operands())
        if (auto *other = dyn_cast<Function>(use.get()))
          if (!other->isDeclaration())
            work.insert(other);
  }
  return true;
}

/// On the bytes.
void Checker::checkMachineCode(Judged &verdict) {
  slots->incorporateFunction(*verdict.ir);
  StringRef name = verdict.function;
  const MachineFacts &info = code.functions[name];
  for (const MachineBranch &branch : info.branches) {
    if (branch.origin && Taint::condition(*branch.origin))
      continue; // One of the branches judged already.
    std::string text;
    raw_string_ostream os(text);
    os << "code generation made a jump (" << branch.text << ")";
    if (branch.origin)
      os << " from " << print(*branch.origin);
    else if (branch.block) {
      os << " in block ";
      branch.block->printAsOperand(os, /*PrintType=*/false, *slots);
    }
    verdict.problems.push_back(std::move(text));
  }
  for (const std::string &callee : info.callees) {
    const Function *known = module.getFunction(callee);
    bool inIR = known && (!known->isDeclaration() ||
                          any_of(known->users(), [&](const User *user) {
                            auto *call = dyn_cast<CallBase>(user);
                            return call && call->getFunction() == verdict.ir;
                          }));
    // Their work depends on a length alone.
    bool isCopy =
        callee == "memcpy" || callee == "memset" || callee == "memmove";
    if (!inIR && !isCopy && !matches(callee, options.allowedCalls))
      verdict.problems.push_back("code generation made a call of " + callee +
                                 ", whose branches are not here; --allow-call "
                                 "accepts that");
  }

  unsigned conditional = 0, indirect = info.indirectTailCalls;
  for (const MachineBranch &branch : info.branches)
    ++(branch.indirect ? indirect : conditional);
  auto compare = [&](const DisassembledFunction &function, StringRef where) {
    if (function.definitions != 1)
      verdict.problems.push_back(
          (where + (function.definitions
                        ? " defines it more than once: give the object of one "
                          "target"
                        : " does not define it"))
              .str());
    else if (function.undecoded)
      verdict.problems.push_back((where + " holds " +
                                  Twine(function.undecoded) +
                                  " bytes in it that are no instruction")
                                     .str());
    else if (function.conditional != conditional ||
             function.indirect != indirect)
      verdict.problems.push_back(
          (where + " has " + Twine(function.conditional) + " conditional and " +
           Twine(function.indirect) + " indirect jumps in it, not " +
           Twine(conditional) + " and " + Twine(indirect))
              .str());
  };
  compare(own[name], "the object made here");
  if (!options.objectName.empty() || shipped.count(name))
    compare(shipped[name], options.objectName.empty()
                               ? "the object"
                               : StringRef(options.objectName));
}

void Checker::countJumps(Judged &verdict) {
  const MachineFacts &info = code.functions[verdict.function];
  const DisassembledFunction &object = shipped[verdict.function];
  verdict.added = count_if(info.branches, [](const MachineBranch &branch) {
    return !branch.origin || !Taint::condition(*branch.origin);
  });
  verdict.jumps = object.conditional + object.indirect - info.indirectTailCalls;
  verdict.hasSameBytes = object.bytes == own[verdict.function].bytes;
}

bool Checker::run(Result &result, std::string &error) {
  SmallVector<char, 0> &object = result.object;
  object = options.object;
  if (options.objectName.empty()) {
    // Code as it would be made without anybody looking.
    std::unique_ptr<Module> plain = CloneModule(module);
    raw_svector_ostream os(object);
    legacy::PassManager passes;
    if (machine.addPassesToEmitFile(passes, os, nullptr,
                                    CodeGenFileType::ObjectFile)) {
      error = "LLVM cannot emit objects for this target";
      return false;
    }
    passes.run(*plain);
  }
  auto buffer = [](const SmallVector<char, 0> &bytes) {
    return MemoryBufferRef(StringRef(bytes.data(), bytes.size()), "object");
  };
  if (!findDescriptors(error) ||
      !generate(
          module, machine, [this](Module &) { analyze(); }, code, error) ||
      !disassemble(buffer(code.object), machine, own, error) ||
      !disassemble(buffer(object), machine, shipped, error))
    return false;
  if (verdicts.empty()) {
    error = "no function with a body matches '" + options.function + "'";
    return false;
  }
  for (Judged &verdict : verdicts) {
    checkMachineCode(verdict);
    countJumps(verdict);
    result.verdicts.push_back(verdict);
  }
  return true;
}

bool Result::proved() const {
  return all_of(verdicts, [](const Verdict &verdict) {
    return verdict.byDesign || verdict.problems.empty();
  });
}

bool moe::branchcheck::checkPatterns(const Options &options,
                                     std::string &error) {
  auto check = [&](StringRef option, const std::string &pattern) {
    std::string message;
    if (Regex(pattern).isValid(message))
      return true;
    error = ("--" + option + ": " + message).str();
    return false;
  };
  return check("function", options.function) &&
         all_of(
             options.allowed,
             [&](const std::string &each) { return check("allow", each); }) &&
         all_of(options.allowedCalls, [&](const std::string &each) {
           return check("allow-call", each);
         });
}

bool moe::branchcheck::checkBranches(Module &module, TargetMachine &machine,
                                     const Options &options, Result &result,
                                     std::string &error) {
  return Checker(module, machine, options).run(result, error);
}
