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
#include "moe-mlir/Raise/ForeignModel.h"
#include "moe-mlir/Raise/Notes.h"
#include "moe-mlir/Raise/Passes.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/Pass/PassManager.h"
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
  moe::ForeignModel foreign;
  if (!foreign.open(context, options.input, error))
    return fail(error);
  mlir::ModuleOp model = foreign.getGraph();
  if (!model) {
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
  if (!weights.empty() && !foreign.hasWeights())
    return fail("--weights is for .onnx files that have some");
  if (weights.empty())
    weights = moe::ForeignModel::getWeightsPath(options.output);
  if (!foreign.writeWeights(outputs, weights, error))
    return fail(error);
  if (!outputs.write(options.output, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
