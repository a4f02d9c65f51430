//===- Model.cpp - The IR that moe-run was given ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The compiler works on a copy: the interpreter wants the model as it was.
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/Progress.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllPasses.h"

using namespace mlir;
using namespace moe::run;
namespace tools = moe::tools;

static DialectRegistry makeRegistry(const DialectRegistry &plugins) {
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  moe::registerAllDialects(registry);
  moe::registerCompilerDialects(registry);
  moe::reference::registerReferenceModels(registry);
  plugins.appendTo(registry);
  return registry;
}

Model::Model(const DialectRegistry &plugins)
    : context(makeRegistry(plugins)), module(context) {}

bool Model::parse(const tools::CommandLine &line, const std::string &path,
                  bool allowBytecode) {
  return module.parse(line, path, allowBytecode);
}

LogicalResult Model::applyRoutingOptions(const moe::RoutingOptions &options) {
  return moe::applyRoutingOptions(*module, options);
}

LogicalResult Model::compile(const std::vector<std::string> &targets, bool fuse,
                             StringRef passes, const std::string &base,
                             bool isEmulated) {
  moe::CompileOptions options;
  options.targets = targets;
  options.fuse = fuse;
  options.object = options.header = false;
  options.library = isEmulated;
  options.shared = !isEmulated;
  moe::Progress progress("compiling", "steps");
  options.progress = progress.function();
  OwningOpRef<ModuleOp> copy = module->clone();
  if (!passes.empty()) {
    mlir::registerAllPasses();
    moe::registerAllPasses();
    if (failed(tools::runPasses(*copy, passes)))
      return failure();
  }
  LogicalResult compiled = moe::compileToArtifact(*copy, options, base);
  module.flush();
  return compiled;
}

func::FuncOp Model::find(StringRef name) {
  return module->lookupSymbol<func::FuncOp>(name);
}
