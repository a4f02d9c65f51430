//===- Plugins.cpp - Plugins and passes that users bring --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Tool/CommandLine.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

using namespace moe::tools;
namespace cl = llvm::cl;

template <typename Plugin>
static std::optional<Plugin> load(llvm::StringRef option,
                                  const std::string &path, std::string &error) {
  llvm::Expected<Plugin> plugin = Plugin::load(path);
  if (plugin)
    return *plugin;
  // LLVM's text may have several lines.
  std::string text = llvm::toString(plugin.takeError());
  llvm::replace(text, '\n', ' ');
  error = ("--" + option + "=" + path + ": " + text).str();
  return std::nullopt;
}

bool moe::tools::loadDialectPlugin(const std::string &path,
                                   mlir::DialectRegistry &registry,
                                   std::string &error) {
  auto plugin = load<mlir::DialectPlugin>("load-dialect-plugin", path, error);
  if (plugin)
    plugin->registerDialectRegistryCallbacks(registry);
  return plugin.has_value();
}

bool moe::tools::loadPassPlugin(const std::string &path, std::string &error) {
  auto plugin = load<mlir::PassPlugin>("load-pass-plugin", path, error);
  if (plugin)
    plugin->registerPassRegistryCallbacks();
  return plugin.has_value();
}

PluginOptions::PluginOptions(CommandLine &line)
    : dialectPlugins("load-dialect-plugin", cl::value_desc(value),
                     cl::cat(line.group("Input")), cl::desc(dialectHelp)),
      passPlugins("load-pass-plugin", cl::value_desc(value),
                  cl::cat(line.group("Input")), cl::desc(passHelp)) {}

bool PluginOptions::load(mlir::DialectRegistry &registry,
                         std::string &error) const {
  for (const std::string &path : dialectPlugins)
    if (!loadDialectPlugin(path, registry, error))
      return false;
  for (const std::string &path : passPlugins)
    if (!loadPassPlugin(path, error))
      return false;
  return true;
}

EagerPluginOptions::EagerPluginOptions(
    CommandLine &line, std::function<void(mlir::DialectRegistry &)> add)
    : options(line) {
  options.dialectPlugins.setCallback(
      [&line, add = std::move(add)](const std::string &path) {
        std::string error;
        mlir::DialectRegistry registry;
        if (!loadDialectPlugin(path, registry, error))
          exit(line.fail(error));
        add(registry);
      });
  options.passPlugins.setCallback([&line](const std::string &path) {
    std::string error;
    if (!loadPassPlugin(path, error))
      exit(line.fail(error));
  });
}

llvm::LogicalResult moe::tools::runPasses(mlir::ModuleOp module,
                                          llvm::StringRef pipeline,
                                          const CompilationOptions *options) {
  // Errors of a text have been printed.
  mlir::FailureOr<mlir::OpPassManager> passes =
      mlir::parsePassPipeline(pipeline);
  if (mlir::failed(passes))
    return mlir::failure();
  if (passes->getOpAnchorName() != mlir::ModuleOp::getOperationName())
    return module.emitError("--pass-pipeline has to begin with "
                            "builtin.module(, not with ")
           << passes->getOpAnchorName();
  mlir::PassManager manager(module.getContext(),
                            mlir::ModuleOp::getOperationName());
  static_cast<mlir::OpPassManager &>(manager) = std::move(*passes);
  if (options && mlir::failed(options->setUp(manager)))
    return mlir::failure();
  return manager.run(module);
}
