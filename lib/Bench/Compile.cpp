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

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Import/Import.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace moe;
using namespace moe::bench;

/// The text of the configuration with the model's changes made.
static bool readConfig(const SuiteModel &model, const std::string &path,
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

bool bench::compileModel(mlir::MLIRContext &context, const SuiteModel &model,
                         const std::string &modelsDir, bool fuse,
                         const std::string &base, std::string &error) {
  std::string path = modelsDir + "/" + model.config + ".json";
  std::string text;
  if (!readConfig(model, path, text, error))
    return false;
  ImportOptions import;
  import.weightsType = dtypeName(model.spec.weightType);
  import.experts = model.keepExperts;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importConfig(context, text, path, import, error);
  if (!module)
    return false;

  // Warnings and remarks are moe-compile's business; of errors, the first.
  std::string first;
  mlir::ScopedDiagnosticHandler handler(
      &context, [&](mlir::Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error &&
            first.empty())
          first = diagnostic.str();
      });
  CompileOptions options;
  options.fuse = fuse;
  options.object = options.library = options.header = false;
  if (llvm::succeeded(compileToArtifact(*module, options, base)))
    return true;
  error = "cannot compile " + model.spec.model +
          (first.empty() ? std::string() : ": " + first);
  return false;
}
