//===- moe-branch-check.cpp - No branch depends on data ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Analysis/Branches.
//
//===----------------------------------------------------------------------===//

#include "Device.h"
#include "Report.h"

#include "moe-mlir/Analysis/Branches/BranchCheck.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetOptions.h"

using namespace llvm;
using namespace moe::branchcheck;

static moe::tools::CommandLine line(
    {"moe-branch-check",
     "Proves that no branch of a function depends on data. Exits with 0 if "
     "that is proved, with 1 if not, with 2 on wrong use.",
     "[module.ll | artifact | kernels]",
     {{"The routing of a layer",
       "moe-compile layer.mlir --target=x86-64-v4 --emit=llvm-ir | "
       "moe-branch-check --function=route"},
      {"Kernels for a GPU", "moe-branch-check layer.so"}},
     "Without a file, or with -, the module is read from standard input. Of an "
     "artifact for GPUs its kernels are judged, and so are texts of PTX, of "
     "nvdisasm and cuobjdump -sass, and SPIR-V.",
     {},
     /*usageError=*/2});
static cl::OptionCategory &in = line.group("Input"),
                          &what = line.group("What to prove"),
                          &code = line.group("Code");
static moe::tools::BytecodeOption bytecode(line);
static cl::opt<std::string> input(cl::Positional,
                                  cl::desc("<LLVM IR, artifact, or kernels>"),
                                  cl::init("-"), cl::cat(in));
static cl::opt<std::string>
    functionPattern("function", cl::init("route"),
                    cl::desc("Regular expression: functions to prove, with all "
                             "they call (default: route; of kernels for GPUs "
                             "those that score, select and pack)"),
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
  Options options;
  options.function = functionPattern;
  options.allowed.assign(allowed.begin(), allowed.end());
  options.allowedCalls.assign(allowedCalls.begin(), allowedCalls.end());
  options.sizeArguments.assign(sizeArguments.begin(), sizeArguments.end());
  if (!checkPatterns(options, message))
    return fail(message);
  if (codegenLevel < 1 || codegenLevel > 3)
    return fail("--codegen-level is 1 to 3");

  std::unique_ptr<MemoryBuffer> file =
      moe::tools::openInput(getCodeFile(input), message);
  if (!file)
    return fail(message);
  if (isDeviceCode(*file)) {
    options.objectName = objectPath;
    if (!functionPattern.getNumOccurrences())
      options.function = kDeviceKernels.str();
    std::optional<bool> isProved = proveDeviceCode(*file, options, message);
    return isProved ? !*isProved : fail(message);
  }
  LLVMContext context;
  SMDiagnostic diagnostic;
  if (!moe::tools::checkIR(*file, bytecode.allow, message))
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

  if (!objectPath.empty()) {
    ErrorOr<std::unique_ptr<MemoryBuffer>> object =
        MemoryBuffer::getFile(objectPath);
    if (!object)
      return fail("cannot read " + objectPath + ": " +
                  object.getError().message());
    options.objectName = objectPath;
    options.object.append((*object)->getBufferStart(),
                          (*object)->getBufferEnd());
  }
  Result result;
  bool isJudged = checkBranches(*module, *machine, options, result, message);
  // What was made is of use even where nothing can be said of it.
  if (moe::OutputSet outputs;
      !outputPath.empty() && !result.object.empty() &&
      (!outputs.write(outputPath, {result.object.data(), result.object.size()},
                      message) ||
       !outputs.commit(message)))
    return fail(message);
  if (!isJudged)
    return fail(message);
  printReport(result);
  return result.proved() ? 0 : 1;
}
