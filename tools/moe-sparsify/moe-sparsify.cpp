//===- moe-sparsify.cpp - Makes zeros of weights ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// As moe-quantize, by the same library, but for formats that store no zeros,
// and choosing which weights become zeros.
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
#include "moe/SparseFormats.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-sparsify",
       "Makes zeros of the weights of a model that count least, stores the "
       "others, and tells what is kept.",
       "<model.mlir>",
       {{"Two of each four weights; writes thin.mlir and thin.safetensors",
         "moe-sparsify layer.mlir --inputs=model.safetensors "
         "--to=\"sparse24<bf16>\" -o thin"},
        {"Those that count in the product with what the model was seen to meet",
         "moe-sparsify layer.mlir --inputs=model.safetensors "
         "--to=\"sparse24<bf16>\" --importance=profile.json -o thin"},
        {"16 of the blocks of 16 rows and 32 columns of each 16 rows",
         "moe-sparsify layer.mlir --random=1 "
         "--to=\"*down*=sparse_blocks<values = bf16, kept = 16>\" -o thin"}},
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
  moe::tools::ThreadsOption threadsOption{line};

  cl::opt<std::string> to{
      "to", cl::Required, cl::value_desc("[pattern[@experts]=]format,..."),
      cl::cat(how),
      cl::desc("What matrices of experts become: sparse24<TYPE>, "
               "sparse_blocks<values = TYPE, kept = N>, or keep; the first "
               "pattern counts that fits the name")};
  cl::opt<std::string> importance{
      "importance", cl::value_desc("profile"), cl::cat(how),
      cl::desc("Keep what counts in products: |w| times the root mean square "
               "of what it is multiplied with, which moe-run --profile-out "
               "wrote (default: by |w|)")};

  cl::opt<std::string> output{
      "o", cl::value_desc("base"), cl::cat(out),
      cl::desc("Write base.mlir, the model with its weights stored so, and "
               "base.safetensors, its tensors")};
  cl::opt<bool> perExpert{"per-expert", cl::cat(out),
                          cl::desc("Print what each expert keeps, too")};
  cl::opt<std::string> json{"json", cl::value_desc("file"), cl::cat(out),
                            cl::desc("Also write what was measured there")};
};

} // namespace

/// Whether all that weights become are formats that store no zeros.
static bool areSparse(ArrayRef<moe::quantize::WeightRule> rules,
                      std::string &error) {
  for (const moe::quantize::WeightRule &rule : rules) {
    if (!rule.to ||
        (rule.to->format &&
         isa<moe::SparseFormatAttrInterface, moe::ListedFormatAttrInterface>(
             mlir::Attribute(rule.to->format))))
      continue;
    error = "--to: " + rule.to->name() +
            " stores zeros as well; moe-quantize converts to it";
    return false;
  }
  return true;
}

/// The model as text, with the names of arguments.
static std::string print(mlir::ModuleOp module) {
  std::string text;
  raw_string_ostream os(text);
  module->print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  return text;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-sparsify");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };
  std::string error;
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  moe::registerAllDialects(registry);
  moe::reference::registerReferenceModels(registry);
  moe::quantize::registerEncoders(registry);
  mlir::MLIRContext context(registry);

  moe::TensorPool tensors;
  moe::Progress progress("sparsifying", "B");
  moe::quantize::QuantizeOptions how{{}, tensors};
  how.prunes = true;
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
      !moe::quantize::parseRules(context, options.to, how.rules, error) ||
      !areSparse(how.rules, error))
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
  std::vector<moe::LeftWeight> left;
  moe::OutputSet outputs;
  std::string base = options.output;
  bool isDone = moe::quantize::quantizeModel(
      *model, how, outputs, base.empty() ? base : base + ".safetensors", report,
      left, error);
  progress.hide();
  model.flush();
  for (const moe::LeftWeight &weight : left)
    errs() << "moe-sparsify: note: a weight of " << weight.function
           << (weight.name.empty() ? "" : ", '" + weight.name + "',")
           << " stays as it is: " << weight.why << "\n";
  std::string json;
  raw_string_ostream os(json);
  moe::quantize::writeJson(os, report);
  if (!isDone ||
      (!base.empty() && !outputs.write(base + ".mlir", print(*model), error)) ||
      (!options.json.empty() && !outputs.write(options.json, json, error)) ||
      !outputs.commit(error))
    return fail(error);
  outs() << printKept(report, options.perExpert);
  return 0;
}
