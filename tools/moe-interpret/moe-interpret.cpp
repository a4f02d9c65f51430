//===- moe-interpret.cpp - Run model IR in float64 --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The interpreter as a tool: functions of an .mlir file on tensors from files
// or on random ones, results to a file or compared with one.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Reference/FunctionTensors.h"
#include "moe-mlir/Reference/GPU/KernelInterpreter.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Support/TensorIO.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;
using namespace mlir;
using moe::HostTensor;
using moe::reference::TensorMap;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-interpret",
       "Runs model IR in float64, as defined.",
       "[model.mlir]",
       {{"One function on random tensors, printed",
         "moe-interpret layer.mlir --random=1 --tokens=4 --print"},
        {"Compared with the results of somebody else",
         "moe-interpret layer.mlir --inputs=in.safetensors "
         "--expect=out.safetensors --tolerance=1e-5"},
        {"A GPU's kernels", "moe-interpret --gpu kernels.mlir --random=1"}},
       "Without a file, or with -, the model is read from standard input.\n" +
           std::string(moe::randomHelp)}};
  cl::OptionCategory &in = line.group("Input"), &out = line.group("Output");

  cl::opt<std::string> inputFile{cl::Positional, cl::init("-"), cl::cat(in)};
  moe::tools::EntryOption entry{line};
  cl::opt<bool> all{
      "all", cl::cat(in),
      cl::desc("Run every public function that takes no arguments")};
  cl::list<std::string> inputs{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."), cl::cat(in),
      cl::desc("Files (.safetensors, .npy) with the arguments, matched by "
               "moe.name, or by arg0, arg1, ...")};
  moe::tools::CheckpointOption checkpoint{line};
  moe::tools::RandomOption random{line};
  moe::tools::SizeOptions sizes{line};
  moe::tools::BytecodeOption bytecode{line};
  moe::tools::PluginOptions plugins{line};
  cl::opt<std::string> passes{
      "pass-pipeline", cl::value_desc("passes"), cl::cat(in),
      cl::desc("Passes of plugins to run first, written as for moe-opt")};
  moe::tools::ExternalOption external{line, "shared libraries"};
  cl::opt<bool> gpu{"gpu", cl::cat(in),
                    cl::desc("Run kernels of a GPU, and look for races")};
  cl::opt<uint64_t> order{
      "order", cl::value_desc("seed"), cl::cat(in),
      cl::desc("With --gpu, who comes when (default: 0)")};
  cl::opt<unsigned> multiprocessors{
      "multiprocessors", cl::value_desc("N"), cl::cat(in), cl::init(2),
      cl::desc("With --gpu, those of the device (default: 2)")};
  cl::opt<unsigned> subgroup{
      "subgroup", cl::value_desc("N"), cl::cat(in), cl::init(8),
      cl::desc("With --gpu, of Vulkan: 4, 8, 16, 32 or 64 (default: 8)")};
  moe::tools::ThreadsOption threads{line};

  cl::opt<std::string> output{"o", cl::value_desc("file.safetensors"),
                              cl::cat(out),
                              cl::desc("Write the results to this file")};
  cl::opt<std::string> expect{
      "expect", cl::value_desc("file"), cl::cat(out),
      cl::desc("Compare the results with those in this file, matched by "
               "moe.name, or by result0, result1, ...")};
  cl::opt<double> tolerance{
      "tolerance", cl::init(1e-9), cl::value_desc("number"), cl::cat(out),
      cl::desc("Largest difference from what is expected, in parts of the "
               "root mean square of its row (default: 1e-9)")};
  cl::opt<bool> print{"print", cl::cat(out), cl::desc("Print the results")};
};

/// What the command line said.
struct Given {
  const Options &options;
  std::optional<uint64_t> seed;
  std::map<std::string, int64_t> sizes;
  std::shared_ptr<const moe::Checkpoint> checkpoint;
};

} // namespace

static LogicalResult fail(const Twine &message) {
  WithColor::error(errs(), "moe-interpret") << message << "\n";
  return failure();
}

static LogicalResult runFunction(const Given &given, func::FuncOp called,
                                 TensorMap tensors) {
  const Options &options = given.options;
  FailureOr<func::FuncOp> model = called;
  if (options.gpu && failed(model = moe::reference::declareModel(called)))
    return failure();
  func::FuncOp func = *model;
  std::vector<HostTensor> arguments;
  std::string error;
  if (given.checkpoint &&
      !moe::reference::readCheckpoint(func, *given.checkpoint, tensors, error))
    return fail(error);
  if (!moe::reference::makeArguments(func, tensors, given.seed, given.sizes,
                                     arguments, error))
    return fail(error);
  moe::reference::Options interpreter;
  interpreter.numThreads = options.threads.threads;
  moe::Progress progress("interpreting", "experts");
  interpreter.progress = progress.function();
  auto results =
      options.gpu
          ? moe::reference::interpretKernels(
                called, func, arguments,
                {options.order, options.multiprocessors, options.subgroup})
          : moe::reference::interpret(called, arguments, interpreter);
  progress.hide();
  if (failed(results))
    return failure();
  for (auto [i, result] : enumerate(*results)) {
    result.name = moe::reference::resultName(func, i);
    if (options.print) {
      outs() << called.getSymName() << " ";
      moe::reference::printTensor(outs(), result);
    }
  }
  if (!options.output.empty()) {
    moe::OutputSet outputs;
    if (!moe::writeSafetensors(outputs, options.output, *results, error) ||
        !outputs.commit(error))
      return fail(error);
  }
  if (options.expect.empty())
    return success();
  std::vector<std::string> errors;
  if (moe::reference::compareResults(outs(), func, *results, options.expect,
                                     options.tolerance, errors))
    return success();
  for (const std::string &message : errors)
    (void)fail(message);
  return failure();
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-interpret");
  Options options;
  options.line.parse(argc, argv);
  std::string error;
  Given given{options, {}, {}, {}};
  if (!options.random.read(given.seed, error) ||
      !options.sizes.read(given.sizes, error) ||
      !options.external.load(nullptr, error) ||
      !moe::Checkpoint::open(options.checkpoint.path, given.checkpoint, error))
    return options.line.fail(error);
  DialectRegistry registry;
  moe::reference::registerModelDialects(registry);
  moe::reference::registerReferenceModels(registry);
  moe::reference::registerKernelDialects(registry);
  if (!options.plugins.load(registry, error))
    return options.line.fail(error);
  MLIRContext context(registry);
  // The target of kernels is of a dialect that nobody here asks.
  context.allowUnregisteredDialects(options.gpu);
  moe::tools::ModelFile module(context);
  if (!module.parse(options.line, options.inputFile, options.bytecode.allow))
    return 1;
  if (!options.passes.empty() &&
      failed(moe::tools::runPasses(*module, options.passes)))
    return 1;
  TensorMap tensors;
  if (!moe::reference::readTensorFiles(options.inputs, tensors, error))
    return options.line.fail(error);
  SmallVector<func::FuncOp> functions;
  if (!moe::reference::findFunctions(*module, options.inputFile,
                                     options.entry.entry, options.all,
                                     functions, error))
    return options.line.fail(error);
  if (functions.size() > 1 && !options.output.empty())
    return options.line.fail(
        "-o is for the results of one function; name it with --entry");
  bool good = true;
  for (func::FuncOp func : functions)
    good &= succeeded(runFunction(given, func, tensors));
  return good ? 0 : 1;
}
