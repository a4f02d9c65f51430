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
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
namespace cl = llvm::cl;

// A tool's own options; libraries have none.
static cl::OptionCategory category("moe-compile options");
static cl::opt<std::string> input(cl::Positional, cl::desc("<input .mlir>"),
                                  cl::init("-"), cl::cat(category));
static cl::opt<std::string>
    output("o",
           cl::desc("Base name of the files written; for IR and assembly the "
                    "file itself"),
           cl::value_desc("base"), cl::cat(category));
static cl::list<std::string>
    targets("target", cl::CommaSeparated,
            cl::desc("Targets (default: all of this machine's architecture): "
                     "native, names such as x86-64-v4 or aarch64+i8mm+bf16, or "
                     "all with a beginning, such as aarch64*"),
            cl::cat(category));
static cl::list<std::string>
    emit("emit", cl::CommaSeparated,
         cl::desc("What to write: any of obj, lib, shared, header, manifest "
                  "(default: all of these), or asm, or llvm-ir"),
         cl::cat(category));
static cl::opt<std::string>
    compileTo("compile-to",
              cl::desc("Print the IR after a stage instead: model, fused, "
                       "planned, bufferized, vector, runtime or llvm"),
              cl::cat(category));
static cl::opt<bool> noFuse("no-fuse",
                            cl::desc("One kernel per operation of the model"),
                            cl::cat(category));
static cl::opt<bool> recordRouting(
    "record-routing",
    cl::desc("Return the routings, too: routing.indices, routing.weights and "
             "routing.counts"),
    cl::cat(category));
static cl::opt<bool> replayRouting(
    "replay-routing",
    cl::desc("Take the routings as arguments instead of computing them"),
    cl::cat(category));
static cl::opt<bool> dropRouterArguments(
    "drop-router-arguments",
    cl::desc("With --replay-routing: leave out arguments that only the routers "
             "used"),
    cl::cat(category));
static cl::opt<bool> timeSteps("time",
                               cl::desc("Write how long each step takes"),
                               cl::cat(category));
static cl::opt<unsigned>
    codegenLevel("codegen-level", cl::init(2),
                 cl::desc("LLVM's code generation level, 0 to 3"),
                 cl::cat(category));
static cl::opt<bool>
    optimizeIR("optimize-ir", cl::init(true),
               cl::desc("Clean up the LLVM IR before code generation"),
               cl::cat(category));
static cl::list<std::string>
    dialectPlugins("load-dialect-plugin", cl::value_desc("library"),
                   cl::desc("Load dialects (policies, activations, ...) from a "
                            "plugin"),
                   cl::cat(category));
static cl::opt<std::string>
    runtimeDirectory("runtime-dir",
                     cl::desc("Where libmoe_rt.so is (default: the lib folder "
                              "beside this program)"),
                     cl::cat(category));

static int fail(const Twine &message) {
  llvm::errs() << "moe-compile: " << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-compile");
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Compiles model IR ahead of time into kernels\n");

  moe::CompileOptions options;
  options.targets.assign(targets.begin(), targets.end());
  options.fuse = !noFuse;
  options.codegenLevel = codegenLevel;
  options.optimizeIR = optimizeIR;
  options.time = timeSteps;
  options.runtimeDirectory = runtimeDirectory;
  if (codegenLevel > 3)
    return fail("--codegen-level is 0 to 3");

  std::optional<moe::TextKind> text;
  if (!emit.empty()) {
    options.object = options.library = options.shared = options.header =
        options.manifest = false;
    for (const std::string &kind : emit) {
      if (kind == "obj")
        options.object = true;
      else if (kind == "lib")
        options.library = true;
      else if (kind == "shared")
        options.shared = true;
      else if (kind == "header")
        options.header = true;
      else if (kind == "manifest")
        options.manifest = true;
      else if (kind == "asm")
        text = moe::TextKind::Assembly;
      else if (kind == "llvm-ir")
        text = moe::TextKind::LLVMIR;
      else
        return fail("cannot emit '" + kind +
                    "'; obj, lib, shared, header, manifest, asm and llvm-ir "
                    "can be");
    }
    if (text && emit.size() > 1)
      return fail("--emit=asm and --emit=llvm-ir stand alone");
  }
  std::optional<moe::Stage> stage;
  if (!compileTo.empty()) {
    stage = moe::parseStage(compileTo);
    if (!stage)
      return fail("unknown stage '" + compileTo +
                  "'; known are model, fused, planned, bufferized, vector, "
                  "runtime and llvm");
  }

  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> file = openInputFile(input, &error);
  if (!file)
    return fail(error);
  auto sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(file), llvm::SMLoc());

  DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  moe::registerAllDialects(registry);
  for (const std::string &path : dialectPlugins) {
    llvm::Expected<DialectPlugin> plugin = DialectPlugin::load(path);
    if (!plugin)
      return fail(llvm::toString(plugin.takeError()));
    plugin->registerDialectRegistryCallbacks(registry);
  }
  // One compilation per target runs in parallel; threads within each would
  // only cost.
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  SourceMgrDiagnosticHandler diagnostics(*sources, &context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return 1;

  moe::RoutingOptions routing{recordRouting, replayRouting,
                              dropRouterArguments};
  if (routing.dropArguments && !routing.replay)
    return fail("--drop-router-arguments goes with --replay-routing");
  if (failed(moe::applyRoutingOptions(*module, routing)))
    return 1;

  if (!stage && !text) {
    std::string base = output;
    if (base.empty()) {
      if (input == "-")
        return fail("name the files to write with -o");
      SmallString<128> path(input.getValue());
      llvm::sys::path::replace_extension(path, "");
      base = path.str().str();
    }
    // Files without a name, or with the name of standard output.
    if (base == "-" || llvm::sys::path::is_separator(base.back()))
      return fail("-o " + base +
                  ": expected the base name of several files, such as model "
                  "for model.so and model.json");
    return failed(moe::compileToArtifact(*module, options, base));
  }

  FailureOr<std::vector<std::string>> names =
      moe::resolveTargets(&context, options);
  if (failed(names))
    return 1;
  // One text: the best of the targets asked for.
  std::string target = names->back();
  std::string result;
  llvm::raw_string_ostream out(result);
  if (stage) {
    OwningOpRef<ModuleOp> lowered =
        moe::compileToStage(*module, options, target, *stage);
    if (!lowered)
      return 1;
    lowered->print(out);
    out << "\n";
  } else if (failed(moe::compileToText(*module, options, target, *text, out))) {
    return 1;
  }
  moe::OutputSet outputs;
  if (!outputs.write(output.empty() ? "-" : output.getValue(), result, error) ||
      !outputs.commit(error))
    return fail(error);
  return 0;
}
