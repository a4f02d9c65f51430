//===- moe-quantize.cpp - Stores weights in other formats -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Quantize.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/InitAll.h"
#include "moe-mlir/Quantize/Quantize.h"
#include "moe-mlir/Reference/Interpreter.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-quantize",
       "Stores the weights of a model in other formats, and tells what is "
       "lost.",
       "<model.mlir>",
       {{"All matrices of experts in one format; writes q4_k.mlir and "
         "q4_k.safetensors",
         "moe-quantize layer.mlir --inputs=model.safetensors --to=q4_k "
         "-o q4_k"},
        {"Those of a model's files, which it was imported from",
         "moe-quantize layers.mlir --checkpoint=OLMoE-1B-7B --to=q4_k "
         "-o q4_k"},
        {"Some in another one, by patterns of their names",
         "moe-quantize layer.mlir --inputs=model.safetensors "
         "--to=\"*down*=q6_k,*=q4_k\" -o mixed"},
        {"What a format would cost, expert by expert",
         "moe-quantize layer.mlir --random=1 --to=q2_k --per-expert"}},
       moe::randomHelp}};
  cl::OptionCategory &in = line.group("Input"), &how = line.group("Formats"),
                     &out = line.group("Output");

  cl::opt<std::string> inputFile{cl::Positional, cl::Required, cl::cat(in),
                                 cl::desc("<model.mlir>")};
  cl::list<std::string> inputFiles{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."), cl::cat(in),
      cl::desc("Tensors of the model, .safetensors or .npy: <function>/<name>, "
               "or <name> for all functions")};
  moe::tools::CheckpointOption checkpoint{line};
  moe::tools::RandomOption random{line};
  moe::tools::BytecodeOption bytecode{line};
  moe::tools::PluginOptions plugins{line};
  moe::tools::ThreadsOption threadsOption{line};

  cl::opt<std::string> to{
      "to", cl::value_desc("[pattern[@experts]=]format,..."), cl::cat(how),
      cl::desc("What matrices of experts become: a format such as q4_k, f32, "
               "bf16, or keep; the first pattern counts that fits the name "
               "(default: what the model says in moe.format)")};

  cl::opt<std::string> importance{
      "importance", cl::value_desc("profile"), cl::cat(how),
      cl::desc("Make errors small where it counts: by what weights are "
               "multiplied with, which moe-run --profile-out wrote")};

  cl::opt<std::string> output{
      "o", cl::value_desc("base"), cl::cat(out),
      cl::desc("Write base.mlir, the model with its weights stored so, and "
               "base.safetensors, its tensors")};
  cl::opt<bool> perExpert{"per-expert", cl::cat(out),
                          cl::desc("Print the errors of each expert, too")};
  cl::opt<std::string> report{
      "error-report", cl::value_desc("file.html"), cl::cat(out),
      cl::desc("Write a page that shows the errors of each expert")};
  cl::opt<std::string> json{"json", cl::value_desc("file"), cl::cat(out),
                            cl::desc("Also write what was measured there")};
};

} // namespace

/// The model as text, with the names of arguments.
static std::string print(mlir::ModuleOp module) {
  std::string text;
  raw_string_ostream os(text);
  module->print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  return text;
}

static bool write(const Options &options, const moe::QuantizeReport &report,
                  moe::OutputSet &outputs, std::string &error) {
  std::string json;
  raw_string_ostream os(json);
  moe::quantize::writeJson(os, report);
  return (options.json.empty() || outputs.write(options.json, json, error)) &&
         (options.report.empty() ||
          outputs.write(options.report, printHtml(report), error)) &&
         outputs.commit(error);
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-quantize");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };
  std::string error;
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  moe::registerAllDialects(registry);
  moe::reference::registerReferenceModels(registry);
  moe::quantize::registerEncoders(registry);
  if (!options.plugins.load(registry, error))
    return fail(error);
  mlir::MLIRContext context(registry);

  moe::TensorPool tensors;
  moe::Progress progress("quantizing", "B");
  moe::quantize::QuantizeOptions how{{}, tensors};
  how.threads = options.threadsOption.threads;
  how.progress = progress.function();
  moe::Profile profile;
  if (!options.importance.empty()) {
    if (!moe::readProfile(options.importance, profile, error))
      return fail(error);
    how.profile = &profile;
  }
  std::shared_ptr<const moe::Checkpoint> checkpoint;
  if (!options.random.read(how.seed, error) ||
      !moe::Checkpoint::open(options.checkpoint.path, checkpoint, error) ||
      (options.to.getNumOccurrences() &&
       !moe::quantize::parseRules(context, options.to, how.rules, error)))
    return fail(error);
  how.checkpoint = checkpoint.get();
  for (const std::string &file : options.inputFiles)
    if (!tensors.addFile(file, error))
      return fail(error);
  moe::tools::ModelFile model(context);
  if (!model.parse(options.line, options.inputFile, options.bytecode.allow))
    return 1;

  moe::QuantizeReport report;
  report.title = sys::path::stem(options.inputFile).str();
  report.facts = {{"Model", sys::path::filename(options.inputFile).str()},
                  {"Formats", options.to.empty() ? "as the model says"
                                                 : options.to.getValue()}};
  if (how.profile)
    report.facts.emplace_back("Importance",
                              sys::path::filename(options.importance).str());
  std::vector<moe::LeftWeight> left;
  moe::OutputSet outputs;
  std::string base = options.output;
  bool isDone = moe::quantize::quantizeModel(
      *model, how, outputs, base.empty() ? base : base + ".safetensors", report,
      left, error);
  progress.hide();
  model.flush();
  for (const moe::LeftWeight &weight : left)
    errs() << "moe-quantize: note: a weight of " << weight.function
           << (weight.name.empty() ? "" : ", '" + weight.name + "',")
           << " stays as it is: " << weight.why << "\n";
  if (!isDone)
    return fail(error);
  if (!base.empty() && !outputs.write(base + ".mlir", print(*model), error))
    return fail(error);
  if (!write(options, report, outputs, error))
    return fail(error);
  outs() << printText(report, options.perExpert);
  return 0;
}
