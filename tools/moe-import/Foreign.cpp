//===- Foreign.cpp - Models that exporters wrote -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Foreign.h"

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Raise/ForeignModel.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/InputFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

bool moe::import::isGraph(llvm::StringRef path) {
  return ForeignModel::isOnnx(path) ||
         llvm::sys::path::extension(path) == ".mlir";
}

int moe::import::importGraph(const tools::CommandLine &line,
                             llvm::ArrayRef<llvm::cl::Option *> others,
                             const std::string &path,
                             const std::string &output) {
  for (const llvm::cl::Option *option : others)
    if (option->getNumOccurrences())
      return line.fail("--" + option->ArgStr +
                       " is for configurations and "
                       "checkpoints; " +
                       path + " is a graph");
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  std::string error;
  tools::ModelFile file(context);
  ForeignModel foreign;
  if (!foreign.open(context, path, error))
    return line.fail(error);
  mlir::ModuleOp model = foreign.getGraph();
  if (!model) {
    if (!file.parse(line, path, /*allowBytecode=*/false))
      return 1;
    model = *file;
  }
  if (failed(raiseModel(model)))
    return 1;
  if (llvm::sys::fs::equivalent(path, output))
    return line.fail(output + ": is the file that is read");
  OutputSet outputs;
  std::string text;
  llvm::raw_string_ostream os(text);
  model.print(os);
  os << "\n";
  if (!foreign.writeWeights(outputs, ForeignModel::getWeightsPath(output),
                            error) ||
      !outputs.write(output, text, error) || !outputs.commit(error))
    return line.fail(error);
  return 0;
}
