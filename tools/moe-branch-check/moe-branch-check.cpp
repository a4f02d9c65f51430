//===- moe-branch-check.cpp - No branch depends on data ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Proves of functions in an LLVM module that their branches go the same way
// whatever the data is: first on the IR after all passes over it, then on the
// machine code, each of whose conditional jumps has to come from one of the
// branches that were proved. docs/branchless.md says what that means.
//
//===----------------------------------------------------------------------===//

#include "Codegen.h"
#include "Disassembly.h"
#include "Taint.h"

#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/ModuleSlotTracker.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace llvm;
using namespace moe::branchcheck;

static moe::tools::CommandLine line(
    {"moe-branch-check",
     "Proves that no branch of a function depends on data. Exits with 0 if "
     "that is proved, with 1 if not, with 2 on wrong use.",
     "[module.ll]",
     {{"The routing of a layer",
       "moe-compile layer.mlir --target=x86-64-v4 --emit=llvm-ir | "
       "moe-branch-check --function=route"}},
     "Without a file, or with -, the module is read from standard input.",
     {},
     /*usageError=*/2});
static cl::OptionCategory &in = line.group("Input"),
                          &what = line.group("What to prove"),
                          &code = line.group("Code");
static moe::tools::BytecodeOption bytecode(line);
static cl::opt<std::string> input(cl::Positional,
                                  cl::desc("<input .ll or .bc>"), cl::init("-"),
                                  cl::cat(in));
static cl::opt<std::string>
    functionPattern("function", cl::init("route"),
                    cl::desc("Regular expression: functions to prove, with all "
                             "they call (default: route)"),
                    cl::value_desc("regex"), cl::cat(what));
static cl::list<std::string>
    allowed("allow",
            cl::desc("Functions whose branches depend on data by design"),
            cl::value_desc("regex"), cl::cat(what));
static cl::list<std::string>
    allowedCalls("allow-call",
                 cl::desc("Functions without a body here that may be called "
                          "unproved"),
                 cl::value_desc("regex"), cl::cat(what));
static cl::list<std::string>
    sizeArguments("size-argument",
                  cl::desc("An argument that points to sizes, not to data, by "
                           "function and number from 0"),
                  cl::value_desc("function:number"), cl::cat(what));
static cl::opt<std::string>
    objectPath("object",
               cl::desc("Read this object instead of the one made here"),
               cl::value_desc("file"), cl::cat(in));
static cl::opt<std::string> outputPath("o",
                                       cl::desc("Write the object made here"),
                                       cl::value_desc("file"), cl::cat(code));
static cl::opt<std::string>
    cpu("mcpu", cl::desc("The CPU (default: what the functions say)"),
        cl::value_desc("name"), cl::cat(code));
static cl::opt<std::string>
    features("mattr",
             cl::desc("Its features (default: what the functions say)"),
             cl::value_desc("+a,-b"), cl::cat(code));
static cl::opt<std::string>
    triple("mtriple", cl::desc("The target (default: what the module says)"),
           cl::value_desc("triple"), cl::cat(code));
static cl::opt<unsigned>
    codegenLevel("codegen-level", cl::init(2),
                 cl::desc("LLVM's code generation level, 1 to 3 (default: 2)"),
                 cl::value_desc("1-3"), cl::cat(code));

static int fail(const Twine &message) { return line.fail(message); }

namespace {

/// The verdict on one function.
struct Verdict {
  const Function *function;
  bool byDesign = false;
  unsigned branches = 0, tainted = 0;
  SmallVector<std::string> problems;
};

class Checker {
public:
  Checker(Module &module, TargetMachine &machine)
      : module(module), machine(machine) {}

  bool run(bool &proved, std::string &error);

private:
  bool findDescriptors(std::string &error);
  bool analyze();
  void analyze(Verdict &verdict);
  void checkCall(const CallBase &call, Verdict &verdict);
  void checkMachineCode(Verdict &verdict);
  void explain(raw_ostream &os, const Value *value);
  std::string print(const Value &value);
  std::string place(const Instruction &instruction);
  void report(bool &proved);

  static bool matches(StringRef name, ArrayRef<std::string> patterns) {
    return any_of(patterns, [&](const std::string &pattern) {
      return Regex("^(" + pattern + ")$").match(name);
    });
  }

  Module &module;
  TargetMachine &machine;
  SmallVector<const Argument *> descriptors;
  std::unique_ptr<Taint> taint;
  std::unique_ptr<ModuleSlotTracker> slots;
  std::vector<Verdict> verdicts;
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
  for (const std::string &text : sizeArguments) {
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

void Checker::checkCall(const CallBase &call, Verdict &verdict) {
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
      matches(function->getName(), allowedCalls))
    return;
  verdict.problems.push_back(("calls " + function->getName() +
                              ", whose branches are not here, at " +
                              place(call) + "; --allow-call accepts that")
                                 .str());
}

void Checker::analyze(Verdict &verdict) {
  for (const Instruction &instruction : instructions(*verdict.function)) {
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
  Regex pattern(functionPattern);
  SetVector<const Function *> work;
  for (const Function &function : module)
    if (!function.isDeclaration() && pattern.match(function.getName()))
      work.insert(&function);
  for (unsigned i = 0; i < work.size(); ++i) {
    const Function *function = work[i];
    Verdict verdict;
    verdict.function = function;
    verdict.byDesign = matches(function->getName(), allowed);
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
void Checker::checkMachineCode(Verdict &verdict) {
  slots->incorporateFunction(*verdict.function);
  StringRef name = verdict.function->getName();
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
    bool inIR =
        known && (!known->isDeclaration() ||
                  any_of(known->users(), [&](const User *user) {
                    auto *call = dyn_cast<CallBase>(user);
                    return call && call->getFunction() == verdict.function;
                  }));
    // Their work depends on a length alone.
    bool isCopy =
        callee == "memcpy" || callee == "memset" || callee == "memmove";
    if (!inIR && !isCopy && !matches(callee, allowedCalls))
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
  if (!objectPath.empty() || shipped.count(name))
    compare(shipped[name],
            objectPath.empty() ? "the object" : StringRef(objectPath));
}

void Checker::report(bool &proved) {
  unsigned width = 8;
  for (const Verdict &verdict : verdicts)
    width = std::max<unsigned>(width, verdict.function->getName().size());
  outs() << left_justify("function", width)
         << "  branches  tainted  jumps  added  object\n";
  for (const Verdict &verdict : verdicts) {
    StringRef name = verdict.function->getName();
    const MachineFacts &info = code.functions[name];
    unsigned added = count_if(info.branches, [](const MachineBranch &branch) {
      return !branch.origin || !Taint::condition(*branch.origin);
    });
    const DisassembledFunction &object = shipped[name];
    outs() << left_justify(name, width)
           << format(
                  "  %8u  %7u  %5u  %5u  ", verdict.branches, verdict.tainted,
                  object.conditional + object.indirect - info.indirectTailCalls,
                  added)
           << (object.bytes == own[name].bytes ? "same bytes" : "same jumps");
    if (verdict.byDesign)
      outs() << "  (allowed)";
    outs() << "\n";
  }
  proved = true;
  for (const Verdict &verdict : verdicts) {
    if (verdict.byDesign)
      continue;
    for (const std::string &problem : verdict.problems) {
      outs() << verdict.function->getName() << ": " << problem << "\n";
      proved = false;
    }
  }
  outs() << (proved ? "proved: no branch depends on data\n" : "not proved\n");
}

bool Checker::run(bool &proved, std::string &error) {
  // Code as it would be made without anybody looking.
  std::unique_ptr<Module> plain = CloneModule(module);
  SmallVector<char, 0> object;
  if (objectPath.empty()) {
    raw_svector_ostream os(object);
    legacy::PassManager passes;
    if (machine.addPassesToEmitFile(passes, os, nullptr,
                                    CodeGenFileType::ObjectFile)) {
      error = "LLVM cannot emit objects for this target";
      return false;
    }
    passes.run(*plain);
  } else {
    ErrorOr<std::unique_ptr<MemoryBuffer>> file =
        MemoryBuffer::getFile(objectPath);
    if (!file) {
      error = "cannot read " + objectPath + ": " + file.getError().message();
      return false;
    }
    object.append((*file)->getBufferStart(), (*file)->getBufferEnd());
  }
  if (!outputPath.empty()) {
    moe::OutputSet outputs;
    if (!outputs.write(outputPath, {object.data(), object.size()}, error) ||
        !outputs.commit(error))
      return false;
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
    error = "no function with a body matches '" + functionPattern + "'";
    return false;
  }
  for (Verdict &verdict : verdicts)
    checkMachineCode(verdict);
  report(proved);
  return true;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-branch-check");
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
  InitializeAllAsmParsers();
  InitializeAllDisassemblers();
  line.parse(argc, argv);

  std::string message;
  if (!Regex(functionPattern).isValid(message))
    return fail("--function: " + message);
  for (const std::string &pattern : allowed)
    if (!Regex(pattern).isValid(message))
      return fail("--allow: " + message);
  for (const std::string &pattern : allowedCalls)
    if (!Regex(pattern).isValid(message))
      return fail("--allow-call: " + message);
  if (codegenLevel < 1 || codegenLevel > 3)
    return fail("--codegen-level is 1 to 3");

  LLVMContext context;
  SMDiagnostic diagnostic;
  std::unique_ptr<MemoryBuffer> file = moe::tools::openInput(input, message);
  if (!file || !moe::tools::checkIR(*file, bytecode.allow, message))
    return fail(message);
  std::unique_ptr<Module> module = parseIR(*file, diagnostic, context);
  if (!module) {
    diagnostic.print("moe-branch-check", errs());
    return 2;
  }
  Triple target = triple.empty() ? module->getTargetTriple()
                                 : Triple(Triple::normalize(triple));
  if (target.getArch() == Triple::UnknownArch)
    return fail("the module names no target; --mtriple does");
  // The functions of one module are all for one CPU.
  std::string forCpu = cpu, withFeatures = features;
  Regex pattern(functionPattern);
  for (const Function &function : *module) {
    if (function.isDeclaration() || !pattern.match(function.getName()))
      continue;
    if (forCpu.empty())
      forCpu = function.getFnAttribute("target-cpu").getValueAsString().str();
    if (withFeatures.empty())
      withFeatures =
          function.getFnAttribute("target-features").getValueAsString().str();
  }
  const Target *found = TargetRegistry::lookupTarget(target, message);
  if (!found)
    return fail(message);
  std::unique_ptr<TargetMachine> machine(found->createTargetMachine(
      target, forCpu, withFeatures, TargetOptions(), Reloc::PIC_, std::nullopt,
      *CodeGenOpt::getLevel(codegenLevel)));
  if (!machine)
    return fail("LLVM has no code generator for " + target.str());
  module->setTargetTriple(target);
  module->setDataLayout(machine->createDataLayout());

  Checker checker(*module, *machine);
  bool proved = false;
  std::string error;
  if (!checker.run(proved, error))
    return fail(error);
  return proved ? 0 : 1;
}
