//===- moe-import.cpp - Model configurations to moe IR ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Import.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Import/Import.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace cl = llvm::cl;

/// No configuration is larger, and a wrong file should not take long.
static constexpr size_t largestFile = 16 << 20;

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-import");

  cl::OptionCategory category("moe-import options");
  cl::opt<std::string> input(cl::Positional, cl::Required,
                             cl::desc("<config.json or ->"), cl::cat(category));
  cl::opt<std::string> output("o", cl::desc("Output file"),
                              cl::value_desc("file"), cl::init("-"),
                              cl::cat(category));
  cl::opt<std::string> layers(
      "layers",
      cl::desc(
          "Layers to import: 3, 0-7 or all (default: the first MoE layer)"),
      cl::value_desc("layers"), cl::init("first"), cl::cat(category));
  cl::opt<std::string> weightsType(
      "weights-type", cl::desc("Type of the expert weights: f32 or bf16"),
      cl::value_desc("type"), cl::init("f32"), cl::cat(category));
  cl::opt<int64_t> experts(
      "experts", cl::desc("Keep only the first N experts of each layer"),
      cl::value_desc("N"), cl::cat(category));
  cl::opt<int64_t> tokens("tokens",
                          cl::desc("A fixed number of tokens instead of a "
                                   "dynamic one"),
                          cl::value_desc("N"), cl::cat(category));
  cl::opt<bool> ignoreQuantization(
      "ignore-quantization",
      cl::desc("Import the layers of a checkpoint whose weights are quantised "
               "with weights of --weights-type"),
      cl::cat(category));
  // Needs no file, so it is done as soon as it is seen.
  cl::opt<bool> listModels(
      "list-models", cl::desc("List the model types that can be imported"),
      cl::callback([](const bool &) {
        for (const std::string &type : moe::getSupportedModelTypes())
          llvm::outs() << type << "\n";
        llvm::outs().flush();
        std::exit(0);
      }),
      cl::cat(category));
  cl::HideUnrelatedOptions(category);
  std::string supported = "\nSupported model types: " +
                          llvm::join(moe::getSupportedModelTypes(), ", ") +
                          "\n";
  cl::extrahelp help(supported);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Turns the config.json of a model into moe IR, one function per layer\n");

  auto fail = [](const llvm::Twine &message) {
    llvm::errs() << "moe-import: error: " << message << "\n";
    return 1;
  };
  moe::ImportOptions options;
  options.layers = layers;
  options.weightsType = weightsType;
  options.experts = experts;
  options.tokens = tokens;
  options.ignoreQuantization = ignoreQuantization;
  // 0 stands for "not given" in the library.
  if (experts.getNumOccurrences() && experts < 1)
    return fail("--experts needs a number of at least 1");
  if (tokens.getNumOccurrences() && tokens < 1)
    return fail("--tokens needs a number of at least 1");

  auto file = llvm::MemoryBuffer::getFileOrSTDIN(input, /*IsText=*/true);
  if (!file)
    return fail(input + ": " + file.getError().message());
  if ((*file)->getBufferSize() > largestFile)
    return fail(input + ": too large for a model configuration (" +
                llvm::Twine((*file)->getBufferSize()) + " bytes)");

  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  std::string error;
  std::vector<std::string> notes;
  mlir::OwningOpRef<mlir::ModuleOp> module = moe::importConfig(
      context, (*file)->getBuffer(), input, options, error, &notes);
  if (!module)
    return fail(error);
  for (const std::string &note : notes)
    llvm::errs() << "moe-import: note: " << input << ": " << note << "\n";
  std::string text;
  llvm::raw_string_ostream os(text);
  // The builder of the layers names its values.
  module->print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  moe::OutputSet outputs;
  if (!outputs.write(output, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
