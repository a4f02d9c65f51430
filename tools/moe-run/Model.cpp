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

#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace moe::run;

TemporaryFolder::~TemporaryFolder() {
  if (!folder.empty())
    llvm::sys::fs::remove_directories(folder);
}

LogicalResult TemporaryFolder::create(std::string &error) {
  llvm::SmallString<128> created;
  if (std::error_code code =
          llvm::sys::fs::createUniqueDirectory("moe-run", created)) {
    error = "cannot create a temporary folder: " + code.message();
    return failure();
  }
  folder = created.str().str();
  return success();
}

static DialectRegistry makeRegistry() {
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  moe::registerAllDialects(registry);
  moe::registerCompilerDialects(registry);
  moe::reference::registerReferenceModels(registry);
  return registry;
}

Model::Model() : context(makeRegistry()) {}
Model::~Model() = default;

LogicalResult Model::loadPlugins(const std::vector<std::string> &paths) {
  DialectRegistry registry;
  for (const std::string &path : paths) {
    llvm::Expected<DialectPlugin> plugin = DialectPlugin::load(path);
    if (!plugin) {
      llvm::WithColor::error(llvm::errs(), "moe-run")
          << llvm::toString(plugin.takeError()) << "\n";
      return failure();
    }
    plugin->registerDialectRegistryCallbacks(registry);
  }
  context.appendDialectRegistry(registry);
  return success();
}

LogicalResult Model::parse(const std::string &path) {
  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> buffer = openInputFile(path, &error);
  if (!buffer) {
    llvm::WithColor::error(llvm::errs(), "moe-run") << error << "\n";
    return failure();
  }
  sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  diagnostics =
      std::make_unique<SourceMgrDiagnosticHandler>(*sources, &context);
  module = parseSourceFile<ModuleOp>(*sources, &context);
  return success(static_cast<bool>(module));
}

LogicalResult Model::applyRoutingOptions(const moe::RoutingOptions &options) {
  return moe::applyRoutingOptions(*module, options);
}

LogicalResult Model::compile(const std::vector<std::string> &targets, bool fuse,
                             const std::string &base, bool isEmulated) {
  moe::CompileOptions options;
  options.targets = targets;
  options.fuse = fuse;
  options.object = options.header = false;
  options.library = isEmulated;
  options.shared = !isEmulated;
  OwningOpRef<ModuleOp> copy = module->clone();
  return moe::compileToArtifact(*copy, options, base);
}

func::FuncOp Model::find(StringRef name) {
  return module->lookupSymbol<func::FuncOp>(name);
}
