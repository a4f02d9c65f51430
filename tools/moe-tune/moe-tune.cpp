//===- moe-tune.cpp - Find the fastest schedules by trying ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The command line of lib/Run/Tune.cpp.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Run/Compile.h"
#include "moe-mlir/Run/Tune.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/InputFile.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-tune",
       "Finds faster schedules for a layer on this machine, with the same "
       "results to the last bit.",
       "<model.mlir>",
       {{"A description of this machine that is tuned for a layer",
         "moe-tune layer.mlir -o tuned.json"},
        {"The layer itself, with the winner as its target",
         "moe-tune layer.mlir --tokens=1,16 -o tuned.mlir"}},
       "The model's choice stays where nothing is faster."}};
  cl::OptionCategory &in = line.group("Input"),
                     &running = line.group("Running"),
                     &out = line.group("Output");

  cl::opt<std::string> input{cl::Positional, cl::Required, cl::cat(in),
                             cl::desc("<model.mlir>")};
  moe::tools::EntryOption entry{line};
  moe::tools::BytecodeOption bytecode{line};
  moe::tools::PluginOptions plugins{line};
  moe::tools::CompilationOptions compilation{line};
  cl::opt<std::string> target{
      "target", cl::value_desc("name"), cl::init("native"), cl::cat(running),
      cl::desc("What to begin with, see --list-targets (default: native)")};
  cl::opt<std::string> description{
      "target-description", cl::value_desc("file"), cl::cat(running),
      cl::desc("The same as a file, such as moe-describe-cpu writes")};
  moe::tools::ThreadsOption threads{line};
  cl::list<int64_t> tokens{
      "tokens", cl::CommaSeparated, cl::value_desc("1,64"), cl::cat(running),
      cl::desc("Numbers of tokens to be fast for (default: 1,16,64,512)")};
  cl::opt<double> seconds{
      "seconds", cl::init(2), cl::value_desc("s"), cl::cat(running),
      cl::desc("For each thing that is varied and number of tokens "
               "(default: 2)")};
  cl::opt<std::string> output{
      "o", cl::Required, cl::value_desc("file"), cl::cat(out),
      cl::desc("tuned.json for --target-description, or the model with the "
               "winner as its moek.target")};

  Options() {
    line.addList("list-targets", "List the targets", moe::describeTargets);
  }
};

} // namespace

static moek::TargetAttrInterface getChip(const Options &given,
                                         mlir::ModuleOp module) {
  moe::CompileOptions options;
  if (!given.description.empty())
    options.targetDescriptions.push_back(given.description);
  else if (!moek::getTarget(module))
    options.targets.push_back(given.target);
  mlir::FailureOr<moe::TargetList> targets =
      moe::resolveTargets(module, options);
  return failed(targets) ? moek::TargetAttrInterface() : targets->back();
}

/// The winner as a file of its own, or on the model.
static std::string print(mlir::ModuleOp module, StringRef path,
                         moek::TargetAttrInterface chip) {
  if (sys::path::extension(path) == ".json")
    return moe::TargetRegistry::get().describeChip(chip);
  module->setAttr(moek::kTargetAttrName, chip);
  std::string text;
  raw_string_ostream os(text);
  module.print(os);
  os << "\n";
  return text;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-tune");
  mlir::registerAllPasses();
  moe::registerAllPasses();
  moe::registerAllTargets();
  Options given;
  given.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return given.line.fail(message); };

  std::string error;
  moe::run::TuneOptions options;
  mlir::DialectRegistry registry;
  moe::run::registerRunDialects(registry);
  mlir::registerAllExtensions(registry);
  if (!given.plugins.load(registry, error) ||
      !given.compilation.apply(options.compile, error))
    return fail(error);
  options.entry = given.entry.entry;
  options.threads = given.threads.threads;
  options.seconds = given.seconds;
  if (!given.tokens.empty())
    options.tokens.assign(given.tokens.begin(), given.tokens.end());
  for (int64_t tokens : options.tokens)
    if (tokens < 1)
      return fail("--tokens: expected numbers of at least 1");
  mlir::MLIRContext context(registry);
  moe::tools::ModelFile model(context);
  if (!model.parse(given.line, given.input, given.bytecode.allow))
    return 1;
  // A wrong path should not cost a run.
  moe::OutputSet outputs;
  if (!outputs.add(given.output, error))
    return fail(error);
  moek::TargetAttrInterface chip = getChip(given, *model);
  if (!chip)
    return 1;

  moe::run::TuneResult result;
  bool ok = moe::run::tune(
      *model, chip, options,
      [](const moe::run::TuneStep &step) {
        outs() << format("%-26s %2d tried, ", step.name.c_str(),
                         step.variations);
        if (step.ratio < 1)
          outs() << format("%.3f of the time\n", step.ratio);
        else
          outs() << "nothing faster\n";
        outs().flush();
      },
      result, error);
  if (!ok)
    return fail(error);
  for (const moe::run::TuneResult::Row &row : result.rows)
    outs() << format("T = %-6lld %10.3f ms before, %10.3f ms tuned\n",
                     static_cast<long long>(row.tokens), row.firstMs,
                     row.tunedMs);
  outs() << format("the first choice takes %.1f%% longer\n",
                   100 * result.regret());
  return outputs.append(given.output, print(*model, given.output, result.chip),
                        error) &&
                 outputs.commit(error)
             ? 0
             : fail(error);
}
