//===- moe-import.cpp - Model configurations to moe IR ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Import.
//
//===----------------------------------------------------------------------===//

#include "Foreign.h"

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Import/Import.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"
#include "moe-mlir/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/ValueBoundsOpInterfaceImpl.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace cl = llvm::cl;

/// No configuration is larger, and a wrong file should not take long.
static constexpr size_t largestFile = 16 << 20;

namespace {
enum class Part { Block, Experts };

struct Options {
  moe::tools::CommandLine line{
      {"moe-import",
       "Turns a model, its checkpoint, its config.json or what an exporter "
       "wrote, into moe IR.",
       "<folder, .gguf or config.json>",
       {{"All layers of a checkpoint, with weights as it has them",
         "moe-import --layers=all DIR -o model.mlir"},
        {"The first MoE layer of a model, with eight of its experts",
         "moe-import --experts=8 config.json -o layer.mlir"},
        {"All layers, with bf16 weights",
         "moe-import --layers=all --weights-type=bf16 config.json -o "
         "model.mlir"}},
       "Supported model types: " +
           llvm::join(moe::getSupportedModelTypes(), ", ")}};
  cl::OptionCategory &in = line.group("Input"), &model = line.group("Model"),
                     &out = line.group("Output");

  cl::opt<std::string> input{
      cl::Positional, cl::cat(in),
      cl::desc("<folder, .gguf, .safetensors, config.json, .onnx, .mlir or "
               "->")};
  cl::opt<std::string> layers{
      "layers", cl::value_desc("layers"), cl::init("first"), cl::cat(model),
      cl::desc("Layers to import: 3, 0-7 or all (default: the first MoE "
               "layer)")};
  cl::opt<std::string> weightsType{
      "weights-type", cl::value_desc("type"), cl::init("auto"), cl::cat(model),
      cl::desc("Type of the expert weights: f32, bf16, or a format that they "
               "are stored in, such as q4_0 (default: as the checkpoint has "
               "them; f32 without one)")};
  cl::opt<std::string> family{
      "family", cl::value_desc("name or file"), cl::cat(model),
      cl::desc("Read the model by this family, whatever its type is: one of "
               "--list-families, or a .yaml file of yours")};
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

  cl::opt<Part> part{
      "part", cl::cat(model), cl::init(Part::Block),
      cl::desc("What of a layer to import"),
      cl::values(clEnumValN(Part::Block, "block", "all of it (the default)"),
                 clEnumValN(Part::Experts, "experts",
                            "its experts, with the routing as arguments"))};
  cl::opt<bool> ignoreQuantization{
      "ignore-quantization", cl::cat(model),
      cl::desc("Import the layers of a checkpoint whose weights are quantised "
               "with weights of --weights-type")};

  Options() {
    line.addList("list-models", "List the model types that can be imported",
                 moe::getSupportedModelTypes);
    line.addList("list-families",
                 "List the families that come with the compiler",
                 moe::getFamilies);
  }

  std::vector<cl::Option *> ofConfigurations() {
    return {&layers, &weightsType,       &family, &experts, &tokens,
            &part,   &ignoreQuantization};
  }

  cl::opt<bool> checkFamilies{
      "check-families", cl::cat(in),
      cl::desc("Check the family files that come with the compiler, or those "
               "of $MOE_MLIR_FAMILIES, and import nothing")};
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
  options.family = given.family;
  options.experts = given.experts;
  options.tokens = given.tokens;
  options.ignoreQuantization = given.ignoreQuantization;
  // 0 stands for "not given" in the library.
  if (given.experts.getNumOccurrences() && given.experts < 1)
    return fail("--experts needs a number of at least 1");
  if (given.tokens.getNumOccurrences() && given.tokens < 1)
    return fail("--tokens needs a number of at least 1");

  std::string error;
  // The pass that leaves experts alone asks which rows are as many.
  mlir::DialectRegistry registry;
  mlir::arith::registerValueBoundsOpInterfaceExternalModels(registry);
  mlir::tensor::registerValueBoundsOpInterfaceExternalModels(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  if (given.checkFamilies) {
    std::vector<std::string> problems = moe::checkFamilies(context);
    for (const std::string &problem : problems)
      llvm::errs() << "moe-import: error: " << problem << "\n";
    return problems.empty() ? 0 : 1;
  }
  if (given.input.empty())
    return fail("expected a folder, a .gguf file or a config.json");
  if (moe::import::isGraph(given.input))
    return moe::import::importGraph(given.line, given.ofConfigurations(),
                                    given.input, given.output);
  moe::WeightFormatAttrInterface format;
  if (!moe::parseWeightsType(context, options.weightsType, format, error))
    return fail(error);
  std::vector<std::string> notes;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  bool isCheckpoint = false;
  const std::string path = moe::Checkpoint::locate(given.input, isCheckpoint);
  if (isCheckpoint) {
    std::unique_ptr<moe::Checkpoint> checkpoint =
        moe::Checkpoint::open(path, error);
    if (checkpoint)
      module =
          moe::importCheckpoint(context, *checkpoint, options, error, &notes);
  } else if (std::unique_ptr<llvm::MemoryBuffer> file =
                 moe::tools::openInput(path, error)) {
    if (file->getBufferSize() > largestFile)
      return fail(path + ": too large for a model configuration (" +
                  llvm::Twine(file->getBufferSize()) + " bytes)");
    module = moe::importConfig(context, file->getBuffer(), path, options, error,
                               &notes);
  }
  if (!module)
    return fail(error);
  if (given.part == Part::Experts) {
    mlir::PassManager passes(&context);
    passes.addPass(moe::createIsolateExperts());
    std::string problem;
    mlir::ScopedDiagnosticHandler handler(&context,
                                          [&](mlir::Diagnostic &diagnostic) {
                                            if (problem.empty())
                                              problem = diagnostic.str();
                                            return mlir::success();
                                          });
    if (mlir::failed(passes.run(*module)))
      return fail(path + ": --part=experts: " + problem);
  }
  for (const std::string &note : notes)
    llvm::errs() << "moe-import: note: " << given.input << ": " << note << "\n";
  std::string text;
  llvm::raw_string_ostream os(text);
  // The builder of the layers names its values.
  module->print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  if (llvm::sys::fs::equivalent(path, given.output))
    return fail(given.output + ": is the file that is read");
  moe::OutputSet outputs;
  if (!outputs.write(given.output, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
