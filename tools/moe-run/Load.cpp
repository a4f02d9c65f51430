//===- Load.cpp - What moe-run runs ------------------------------ -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Load.h"

#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Support/Progress.h"

#include "llvm/Support/Path.h"

using namespace llvm;
using namespace moe::run;
namespace run = moe::run;

/// Compiles the model, after passes that the interpreter does not see.
static bool compile(const run::Given &given, moe::CompileOptions compile,
                    moe::tools::ModelFile &model, const std::string &base) {
  run::CommandLine &options = given.options;
  compile.targets.assign(options.targets.begin(), options.targets.end());
  if (compile.targets.empty())
    compile.targets.push_back(given.emulator.isGiven() ? "aarch64*" : "native");
  compile.fuse = !options.noFuse;
  compile.passPipeline = options.passes;
  moe::Progress progress("compiling", "steps");
  compile.progress = progress.function();
  mlir::OwningOpRef<mlir::ModuleOp> module = (*model).clone();
  if (!options.passes.empty() &&
      failed(
          moe::tools::runPasses(*module, options.passes, &options.compilation)))
    return false;
  bool isCompiled = succeeded(
      run::compileToRun(*module, compile, base, given.emulator.isGiven()));
  model.flush();
  return isCompiled;
}

bool Loaded::load(const Given &given, std::string &error) {
  run::CommandLine &options = given.options;
  std::string path = options.inputFile;
  mlir::DialectRegistry registry;
  registerRunDialects(registry);
  bool asksModel =
      given.isVerified || given.hasReport || given.hasProfile || given.repeats;
  if (given.isModel || (asksModel && !options.modelFile.empty())) {
    if (!options.plugins.load(registry, error))
      return false;
    context = std::make_unique<mlir::MLIRContext>(registry);
    model = std::make_unique<moe::tools::ModelFile>(*context);
    if (!model->parse(options.line,
                      given.isModel ? options.inputFile : options.modelFile,
                      options.bytecode.allow) ||
        // What is verified has the arguments of what is run.
        failed(moe::tools::runPasses(**model,
                                     "builtin.module(moe-store-weights)")) ||
        failed(moe::applyRoutingOptions(**model, given.routing)))
      return false;
  }
  if (given.isModel) {
    if (!folder.create("moe-run", error))
      return false;
    SmallString<128> base(folder.path());
    sys::path::append(base, sys::path::stem(options.inputFile));
    moe::CompileOptions how;
    if (!options.compilation.apply(how, error))
      return false;
    if (!compile(given, how, *model, base.str().str()))
      return false;
    if (given.isCrossChecked) {
      // Code of its own, and an error where it has none: nothing would be
      // compared then.
      how.codegen = options.crossCheck + "-object";
      std::string otherBase = (base + "-" + options.crossCheck).str();
      if (!compile(given, how, *model, otherBase) ||
          !(other = Artifact::open(otherBase + ".so", given.emulator, error)))
        return false;
    }
    options.compilation.finish();
    path = (base + ".so").str();
  }
  artifact = Artifact::open(path, given.emulator, error, options.device);
  if (!artifact)
    return false;
  if (artifact->device() && (options.trace || given.hasReport)) {
    error = options.trace ? "--trace" : "--routing-report";
    error += ": layers on a device do not tell of their routings";
    return false;
  }
  return true;
}
