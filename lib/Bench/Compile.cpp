//===- Compile.cpp - From a suite's model to an artifact -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The same libraries that moe-import and moe-compile are made of.
//
//===----------------------------------------------------------------------===//

#include "CompiledLayer.h"

#include "moe-mlir/Import/Import.h"
#include "moe-mlir/Run/Compile.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace moe;
using namespace moe::bench;

/// The text of the configuration with the model's changes made.
static bool readConfig(const BenchModel &model, const std::string &path,
                       std::string &text, std::string &error) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file) {
    error = path + ": " + file.getError().message() +
            "; --models-dir says where the configurations are";
    return false;
  }
  text = (*file)->getBuffer().str();
  if (model.changes.empty())
    return true;
  auto config = llvm::json::parse(text);
  auto changes = llvm::json::parse(model.changes);
  if (!config || !changes || !config->getAsObject() ||
      !changes->getAsObject()) {
    llvm::consumeError(config.takeError());
    llvm::consumeError(changes.takeError());
    error = path + ": not a JSON object";
    return false;
  }
  for (auto &[key, value] : *changes->getAsObject())
    (*config->getAsObject())[key] = value;
  text = llvm::formatv("{0}", *config);
  return true;
}

mlir::OwningOpRef<mlir::ModuleOp>
bench::importModel(mlir::MLIRContext &context, const BenchModel &model,
                   const std::string &modelsDir, const std::string &format,
                   std::string &error) {
  if (model.module)
    return mlir::OwningOpRef<mlir::ModuleOp>(
        mlir::ModuleOp(model.module).clone());
  std::string path = llvm::sys::path::extension(model.config) == ".json"
                         ? model.config
                         : modelsDir + "/" + model.config + ".json";
  std::string text;
  if (!readConfig(model, path, text, error))
    return nullptr;
  ImportOptions import;
  import.weightsType = format;
  import.experts = model.keepExperts;
  return importConfig(context, text, path, import, error);
}

mlir::func::FuncOp bench::findEntry(mlir::ModuleOp module,
                                    const BenchModel &model,
                                    std::string &error) {
  llvm::SmallVector<mlir::func::FuncOp> entries;
  std::string names;
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    if (!function.isPublic() || function.isExternal())
      continue;
    names += (names.empty() ? "" : ", ") + function.getName().str();
    if (model.entry.empty() || function.getName() == model.entry)
      entries.push_back(function);
  }
  if (entries.size() == 1)
    return entries.front();
  error = model.name +
          (entries.empty() && !model.entry.empty()
               ? ": no function '" + model.entry + "'"
               : ": which function? choose one with --entry=") +
          "; there are: " + (names.empty() ? "none" : names);
  return nullptr;
}

bool bench::compileModel(mlir::ModuleOp module, const std::string &name,
                         CompileOptions options, const std::string &base,
                         std::string &error) {
  // Warnings are moe-compile's business; of errors, the first. Remarks come
  // only if somebody asks for them.
  std::string first;
  mlir::ScopedDiagnosticHandler handler(
      module.getContext(), [&](mlir::Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error &&
            first.empty())
          first = diagnostic.str();
        return llvm::success(diagnostic.getSeverity() !=
                             mlir::DiagnosticSeverity::Remark);
      });
  if (llvm::succeeded(
          run::compileToRun(module, options, base, /*isEmulated=*/false)))
    return true;
  error =
      "cannot compile " + name + (first.empty() ? std::string() : ": " + first);
  return false;
}
