//===- moe-describe-cpu.cpp - Measures this machine -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From loops to the file that --target-description takes.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/InitAll.h"
#include "moe-mlir/Run/DescribeMachine.h"
#include "moe-mlir/Run/MachineLimits.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
namespace run = moe::run;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-describe-cpu",
       "Measures this machine, and describes it as a chip to compile for.",
       "",
       {{"A description", "moe-describe-cpu -o this-machine.json"},
        {"What it is for", "moe-compile layer.mlir "
                           "--target-description=this-machine.json -o layer"}},
       "It takes some seconds, in which nothing else should run."}};
  cl::OptionCategory &measuring = line.group("Measuring"),
                     &out = line.group("Output");

  cl::opt<bool> quick{"quick", cl::cat(measuring),
                      cl::desc("In less than a second, and less exactly")};
  cl::opt<std::string> name{"name", cl::init("this-machine"),
                            cl::value_desc("name"), cl::cat(out),
                            cl::desc("What the chip is called, in messages and "
                                     "artifacts (default: this-machine)")};
  cl::opt<std::string> outputFile{
      "o", cl::value_desc("chip.json"), cl::cat(out),
      cl::desc("The description; - writes it to standard output, and what was "
               "measured to standard error")};
};

} // namespace

static std::string describe(const run::PrefetchRule &rule) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < rule.ahead.size(); ++i)
    parts.push_back(std::to_string(rule.ahead[i]) + " bytes ahead into level " +
                    std::to_string(rule.levels[i]));
  return parts.empty() ? "none" : join(parts, ", ");
}

static void print(raw_ostream &os, const run::MachineRates &rates) {
  os << run::cpuName() << "\n";
  os << "model " << (rates.model.empty() ? "unknown" : rates.model) << ", "
     << (rates.l1 >> 10) << " and " << (rates.l2 >> 10)
     << " KiB of cache a core\n\n";
  for (const run::MachineRate &rate : rates.rates)
    os << left_justify(rate.name, 14)
       << format("%11lld ", static_cast<long long>(rate.value)) << rate.unit
       << "\n";
  if (rates.isBusy) {
    os << "\nOther programs run: DRAM of all cores, and what to prefetch, are "
          "left out.\n";
    return;
  }
  os << "\nrows   GB/s  prefetching gains\n";
  for (const run::PrefetchTrial &trial : rates.trials)
    os << format("%4lld  %5.1f  %16.0f%%  ", static_cast<long long>(trial.rows),
                 trial.gbytesPerSecond, 100 * trial.gain)
       << describe(trial.best) << "\n";
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-describe-cpu");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };

  mlir::DialectRegistry registry;
  moe::registerAllDialects(registry);
  mlir::MLIRContext context(registry);
  std::string error, text;
  run::MachineRates rates;
  if (!run::measureMachine(options.quick, rates, error) ||
      !run::describeMachine(&context, options.name, rates, text, error))
    return fail(error);
  print(options.outputFile == "-" ? errs() : outs(), rates);
  if (options.outputFile.empty())
    return 0;
  moe::OutputSet outputs;
  if (!outputs.write(options.outputFile, text, error) || !outputs.commit(error))
    return fail(error);
  return 0;
}
