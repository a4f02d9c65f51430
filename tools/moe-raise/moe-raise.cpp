//===- moe-raise.cpp - MoE layers out of other people's models --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Raise.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Raise/Check.h"
#include "moe-mlir/Raise/Notes.h"
#include "moe-mlir/Raise/Onnx.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace cl = llvm::cl;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-raise",
       "Finds the MoE layers in a model that an exporter wrote.",
       "<model.mlir or model.onnx>",
       {{"What is found, and what stops the rest",
         "moe-raise --explain model.onnx -o model.mlir"},
        {"Only if the result is the same on inputs made to differ",
         "moe-raise --check=1 model.mlir -o layers.mlir"}},
       "Text is generic form (\"stablehlo.add\"(%a, %b) : ...). Weights of a "
       ".onnx file\nbecome arguments, and a .safetensors file beside the "
       "output."}};
  cl::OptionCategory &in = line.group("Input"), &out = line.group("Output");
  cl::opt<std::string> input{cl::Positional, cl::init("-"), cl::cat(in),
                             cl::desc("<model.mlir, model.onnx or ->")};
  moe::tools::BytecodeOption bytecode{line};
  cl::opt<std::string> output{
      "o", cl::value_desc("file"), cl::init("-"), cl::cat(out),
      cl::desc("Output file (default: standard output)")};
  cl::opt<std::string> weights{
      "weights", cl::value_desc("file.safetensors"), cl::cat(out),
      cl::desc("Where weights of a .onnx file go (default: the output's name "
               "with .safetensors)")};
  cl::opt<bool> explain{
      "explain", cl::cat(out),
      cl::desc("Say of each layer how far it was raised and what stopped it")};
  cl::opt<uint64_t> check{
      "check", cl::value_desc("SEED"), cl::cat(out),
      cl::desc(
          "Run both in the interpreter, and write nothing if they differ")};
};

} // namespace

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-raise");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const llvm::Twine &message) {
    return options.line.fail(message);
  };

  mlir::DialectRegistry registry;
  moe::registerAllDialects(registry);
  moe::reference::registerModelDialects(registry);
  moe::reference::registerReferenceModels(registry);
  mlir::MLIRContext context(registry);
  context.loadAllAvailableDialects();
  std::string error;
  moe::tools::ModelFile file(context);
  std::unique_ptr<moe::OnnxModel> onnx;
  mlir::OwningOpRef<mlir::ModuleOp> graph;
  mlir::ModuleOp model;
  if (llvm::sys::path::extension(options.input).equals_insensitive(".onnx")) {
    onnx = moe::OnnxModel::read(options.input, error);
    if (onnx)
      graph = onnx->makeModule(context, error);
    if (!graph)
      return fail(error);
    model = *graph;
  } else {
    // Standard input can be read once.
    if (options.input != "-")
      if (auto text = moe::tools::openInput(options.input, error))
        error = moe::findForeignSyntax(text->getBuffer(), options.input);
    if (!error.empty())
      return fail(error);
    context.allowUnregisteredDialects();
    if (!file.parse(options.line, options.input, options.bytecode.allow))
      return 1;
    model = *file;
  }

  moe::RaiseNotes notes(context);
  mlir::PassManager convert(&context), raise(&context);
  moe::buildConvertForeignPipeline(convert);
  moe::buildRaiseLayersPipeline(raise);
  if (failed(convert.run(model)))
    return 1;
  mlir::OwningOpRef<mlir::ModuleOp> original(model.clone());
  if (failed(raise.run(model)))
    return 1;

  for (const auto &note : notes.get())
    if (note.isStay || options.explain)
      llvm::errs() << note.where << ": " << note.text << "\n";
  if (options.check.getNumOccurrences() &&
      !moe::checkRaise(*original, model, options.check, error))
    return fail(error);

  moe::OutputSet outputs;
  std::string text;
  llvm::raw_string_ostream os(text);
  model.print(os);
  os << "\n";
  std::string weights = options.weights;
  if (onnx && onnx->hasWeights()) {
    if (weights.empty() && options.output != "-") {
      llvm::SmallString<128> beside(options.output);
      llvm::sys::path::replace_extension(beside, "safetensors");
      weights = beside.str().str();
    }
    if (!weights.empty() && !onnx->writeWeights(outputs, weights, error))
      return fail(error);
  } else if (!weights.empty()) {
    return fail("--weights is for .onnx files that have some");
  }
  if (!outputs.write(options.output, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
