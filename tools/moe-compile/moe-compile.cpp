//===- moe-compile.cpp - IR to an artifact ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A thin command line around the compiler library.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"

using namespace mlir;
namespace cl = llvm::cl;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-compile",
       "Compiles model IR ahead of time into kernels.",
       "[model.mlir]",
       {{"An object, libraries, a C header and a manifest: "
         "layer.{o,a,so,h,json}",
         "moe-compile layer.mlir -o out/layer"},
        {"The IR after fusion, for one target",
         "moe-compile layer.mlir --target=x86-64-v4 --compile-to=fused"},
        {"The machine code", "moe-compile layer.mlir --target=native "
                             "--emit=asm -o layer.s"}},
       "Without a file, or with -, the model is read from standard input.",
       moe::knownTargets()}};
  cl::OptionCategory &in = line.group("Input"), &code = line.group("Code"),
                     &out = line.group("Output");

  cl::opt<std::string> input{cl::Positional, cl::init("-"), cl::cat(in)};
  moe::tools::BytecodeOption bytecode{line};
  moe::tools::PluginOptions plugins{line};

  cl::list<std::string> targets{
      "target", cl::CommaSeparated, cl::value_desc("name,..."), cl::cat(code),
      cl::desc("Targets, see --list-targets; native, and a beginning with a * "
               "for all names with it (default: all of this machine's "
               "architecture)")};
  cl::list<std::string> targetDescriptions{
      "target-description", cl::value_desc("file"), cl::cat(code),
      cl::desc("A chip that a JSON file describes, as --print-target writes it; "
               "may be repeated")};
  cl::opt<std::string> passes{
      "pass-pipeline", cl::value_desc("passes"), cl::cat(code),
      cl::desc("Passes to run on the model first, written as for moe-opt")};
  moe::tools::CompilationOptions compilation{line};
  cl::opt<std::string> entryPrefix{
      "entry-prefix", cl::value_desc("prefix"), cl::cat(code),
      cl::desc("What the names of all functions begin with in C")};
  cl::opt<bool> noFuse{"no-fuse", cl::cat(code),
                       cl::desc("One kernel per operation of the model")};
  cl::opt<bool> recordRouting{
      "record-routing", cl::cat(code),
      cl::desc("Return the routings, too: routing.indices, routing.weights and "
               "routing.counts")};
  cl::opt<bool> replayRouting{
      "replay-routing", cl::cat(code),
      cl::desc("Take the routings as arguments instead of computing them")};
  cl::opt<bool> dropRouterArguments{
      "drop-router-arguments", cl::cat(code),
      cl::desc("With --replay-routing: leave out arguments that only the "
               "routers used")};
  cl::opt<unsigned> codegenLevel{
      "codegen-level", cl::init(2), cl::value_desc("0-3"), cl::cat(code),
      cl::desc("LLVM's code generation level (default: 2)")};
  cl::opt<bool> optimizeIR{
      "optimize-ir", cl::init(true), cl::cat(code),
      cl::desc("Clean up the LLVM IR before code generation (default: on)")};

  cl::opt<std::string> output{
      "o", cl::value_desc("base"), cl::cat(out),
      cl::desc("Base name of the files written; for IR and assembly the file "
               "itself, - for standard output")};
  cl::list<std::string> emit{
      "emit", cl::CommaSeparated, cl::value_desc("kind,..."), cl::cat(out),
      cl::desc("What to write (default: all files; asm and llvm-ir stand "
               "alone)")};
  cl::opt<std::string> compileTo{
      "compile-to", cl::value_desc("stage"), cl::cat(out),
      cl::desc("Print the IR after a stage instead")};
  cl::opt<bool> printTarget{
      "print-target", cl::cat(out),
      cl::desc("Write the description of the target as JSON, without a model")};
  cl::opt<std::string> runtimeDirectory{
      "runtime-dir", cl::value_desc("folder"), cl::cat(out),
      cl::desc("Where libmoe_rt.so is (default: the lib folder beside this "
               "program)")};

  Options() {
    line.choose(
        emit, {"obj", "lib", "shared", "header", "manifest", "asm", "llvm-ir"});
    line.choose(compileTo, moe::stageNames());
    line.addList("list-targets", "List the targets", moe::describeTargets);
  }
};

/// The best of the targets asked for, as --target-description takes it.
int printTarget(MLIRContext &context, const Options &given,
                const moe::CompileOptions &options) {
  OwningOpRef<ModuleOp> none = ModuleOp::create(UnknownLoc::get(&context));
  FailureOr<moe::TargetList> targets = moe::resolveTargets(*none, options);
  if (failed(targets))
    return 1;
  std::string error;
  moe::OutputSet outputs;
  if (outputs.write(given.output.empty() ? "-" : given.output.getValue(),
                    moe::TargetRegistry::get().describeChip(targets->back()),
                    error) &&
      outputs.commit(error))
    return 0;
  return given.line.fail(error);
}

} // namespace

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-compile");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  Options given;
  given.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return given.line.fail(message); };

  moe::CompileOptions options;
  options.targets.assign(given.targets.begin(), given.targets.end());
  options.targetDescriptions.assign(given.targetDescriptions.begin(),
                                    given.targetDescriptions.end());
  options.fuse = !given.noFuse;
  options.entryPrefix = given.entryPrefix;
  options.codegenLevel = given.codegenLevel;
  options.optimizeIR = given.optimizeIR;
  options.runtimeDirectory = given.runtimeDirectory;
  if (given.codegenLevel > 3)
    return fail("--codegen-level is 0 to 3");

  std::optional<moe::CodeKind> text;
  if (!given.emit.empty()) {
    auto emits = [&](StringRef kind) {
      return llvm::is_contained(given.emit, kind);
    };
    options.object = emits("obj");
    options.library = emits("lib");
    options.shared = emits("shared");
    options.header = emits("header");
    options.manifest = emits("manifest");
    if (emits("asm"))
      text = moe::CodeKind::Assembly;
    if (emits("llvm-ir"))
      text = moe::CodeKind::LLVMIR;
    if (text && given.emit.size() > 1)
      return fail("--emit=asm and --emit=llvm-ir stand alone");
  }
  std::optional<moe::Stage> stage;
  if (!given.compileTo.empty())
    stage = moe::parseStage(given.compileTo);
  moe::RoutingOptions routing{given.recordRouting, given.replayRouting,
                              given.dropRouterArguments};
  if (routing.dropArguments && !routing.replay)
    return fail("--drop-router-arguments goes with --replay-routing");
  std::string base = given.output;
  if (!stage && !text && !given.printTarget) {
    if (base.empty()) {
      if (given.input == "-")
        return fail("name the files to write with -o");
      SmallString<128> path(given.input.getValue());
      llvm::sys::path::replace_extension(path, "");
      base = path.str().str();
    }
    // Files without a name, or with the name of standard output.
    if (base == "-" || llvm::sys::path::is_separator(base.back()))
      return fail("-o " + base +
                  ": expected the base name of several files, such as model "
                  "for model.so and model.json");
  }

  std::string error;
  DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  moe::registerAllDialects(registry);
  if (!given.plugins.load(registry, error) ||
      !given.compilation.apply(options, error))
    return fail(error);
  // One compilation per target runs in parallel; threads within each would
  // only cost.
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  if (given.printTarget)
    return printTarget(context, given, options);
  moe::tools::ModelFile model(context);
  if (!model.parse(given.line, given.input, given.bytecode.allow))
    return 1;
  if (!given.passes.empty() &&
      failed(moe::tools::runPasses(*model, given.passes, &given.compilation)))
    return 1;
  options.passPipeline = given.passes;
  if (failed(moe::applyRoutingOptions(*model, routing)))
    return 1;
  if (!stage && !text) {
    moe::Progress progress("compiling", "steps");
    options.progress = progress.function();
    LogicalResult compiled = moe::compileToArtifact(*model, options, base);
    progress.hide();
    return failed(compiled);
  }

  FailureOr<moe::TargetList> targets = moe::resolveTargets(*model, options);
  if (failed(targets))
    return 1;
  // One text: the best of the targets asked for.
  moek::TargetAttrInterface target = targets->back();
  std::string result;
  llvm::raw_string_ostream out(result);
  if (stage) {
    OwningOpRef<ModuleOp> lowered =
        moe::compileToStage(*model, options, target, *stage);
    if (!lowered)
      return 1;
    lowered->print(out, OpPrintingFlags().printNameLocAsPrefix());
    out << "\n";
  } else if (failed(moe::compileToText(*model, options, target, *text, out))) {
    return 1;
  }
  moe::OutputSet outputs;
  if (!outputs.write(base.empty() ? "-" : base, result, error) ||
      !outputs.commit(error))
    return fail(error);
  return 0;
}
