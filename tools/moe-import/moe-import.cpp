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
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

namespace cl = llvm::cl;

/// No configuration is larger, and a wrong file should not take long.
static constexpr size_t largestFile = 16 << 20;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-import",
       "Turns the config.json of a model into moe IR, one function a layer.",
       "<config.json>",
       {{"The first MoE layer of a model, with eight of its experts",
         "moe-import --experts=8 config.json -o layer.mlir"},
        {"All layers, with bf16 weights",
         "moe-import --layers=all --weights-type=bf16 config.json -o "
         "model.mlir"}},
       "Supported model types: " +
           llvm::join(moe::getSupportedModelTypes(), ", ")}};
  cl::OptionCategory &in = line.group("Input"), &model = line.group("Model"),
                     &out = line.group("Output");

  cl::opt<std::string> input{cl::Positional, cl::Required, cl::cat(in),
                             cl::desc("<config.json or ->")};
  cl::opt<std::string> layers{
      "layers", cl::value_desc("layers"), cl::init("first"), cl::cat(model),
      cl::desc("Layers to import: 3, 0-7 or all (default: the first MoE "
               "layer)")};
  cl::opt<std::string> weightsType{
      "weights-type", cl::value_desc("type"), cl::init("f32"), cl::cat(model),
      cl::desc("Type of the expert weights: f32, bf16, or a format that they "
               "are stored in, such as q4_0 (default: f32)")};
  cl::opt<int64_t> experts{
      "experts", cl::value_desc("N"), cl::cat(model),
      cl::desc("Keep only the first N experts of each layer")};
  cl::opt<int64_t> tokens{
      "tokens", cl::value_desc("N"), cl::cat(model),
      cl::desc("A fixed number of tokens instead of a dynamic one")};
  cl::opt<std::string> output{"o", cl::value_desc("file"), cl::init("-"),
                              cl::cat(out),
                              cl::desc("Output file (default: standard "
                                       "output)")};

  cl::opt<bool> ignoreQuantization{
      "ignore-quantization", cl::cat(model),
      cl::desc("Import the layers of a checkpoint whose weights are quantised "
               "with weights of --weights-type")};

  Options() {
    line.addList("list-models", "List the model types that can be imported",
                 moe::getSupportedModelTypes);
  }
};

} // namespace

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-import");
  Options given;
  given.line.parse(argc, argv);
  auto fail = [&](const llvm::Twine &message) {
    return given.line.fail(message);
  };
  moe::ImportOptions options;
  options.layers = given.layers;
  options.weightsType = given.weightsType;
  options.experts = given.experts;
  options.tokens = given.tokens;
  options.ignoreQuantization = given.ignoreQuantization;
  // 0 stands for "not given" in the library.
  if (given.experts.getNumOccurrences() && given.experts < 1)
    return fail("--experts needs a number of at least 1");
  if (given.tokens.getNumOccurrences() && given.tokens < 1)
    return fail("--tokens needs a number of at least 1");

  std::string error;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  moe::WeightFormatAttrInterface format;
  if (!moe::parseWeightsType(context, options.weightsType, format, error))
    return fail(error);
  std::unique_ptr<llvm::MemoryBuffer> file =
      moe::tools::openInput(given.input, error);
  if (!file)
    return fail(error);
  if (file->getBufferSize() > largestFile)
    return fail(given.input + ": too large for a model configuration (" +
                llvm::Twine(file->getBufferSize()) + " bytes)");

  std::vector<std::string> notes;
  mlir::OwningOpRef<mlir::ModuleOp> module = moe::importConfig(
      context, file->getBuffer(), given.input, options, error, &notes);
  if (!module)
    return fail(error);
  for (const std::string &note : notes)
    llvm::errs() << "moe-import: note: " << given.input << ": " << note << "\n";
  std::string text;
  llvm::raw_string_ostream os(text);
  // The builder of the layers names its values.
  module->print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  moe::OutputSet outputs;
  if (!outputs.write(given.output, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
