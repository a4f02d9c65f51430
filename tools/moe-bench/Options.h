//===- Options.h - The command line of moe-bench ------------------ -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOEBENCH_OPTIONS_H
#define MOE_TOOLS_MOEBENCH_OPTIONS_H

#include "moe-mlir/Bench/Bench.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"

#include <optional>

namespace moe::bench {

namespace cl = llvm::cl;

/// Where the suites are: of an installation, or of the source tree.
std::string findSuites();

struct CommandLine {
  tools::CommandLine line{
      {"moe-bench",
       "Times compiled MoE layers beside this machine's limits and other "
       "implementations.",
       "[model.mlir | config.json]",
       {{"A layer of one's own with one token and with 64",
         "moe-bench layer.mlir --tokens=1,64 --json=bench.json"},
        {"The layers of real models, on all CPUs",
         "moe-bench --suite=layer --threads=all"},
        {"One of them, as configured, with all baselines",
         "moe-bench --model=OLMoE-1B-7B --tokens=1,64"}},
       "With a file, its layer is measured, else a suite.",
       knownTargets()}};
  cl::OptionCategory &what = line.group("What to run"),
                     &running = line.group("Running"),
                     &out = line.group("Output"),
                     &general = line.group("General");
  tools::PluginOptions plugins{line};
  tools::CompilationOptions compilation{line};

  cl::opt<std::string> input{cl::Positional, cl::cat(what),
                             cl::desc("[model.mlir | config.json]")};
  tools::EntryOption entryOption{line};
  tools::BytecodeOption bytecode{line};
  cl::opt<int64_t> experts{
      "experts", cl::value_desc("N"), cl::cat(what),
      cl::desc("Keep only the first N experts of a configuration's layer")};
  cl::opt<std::string> suite{
      "suite", cl::value_desc("name | file.json"), cl::init("layer"),
      cl::cat(what), cl::desc("What to run, see --list (default: layer)")};
  cl::opt<std::string> models{"model", cl::value_desc("a,b"), cl::cat(what),
                              cl::desc("Only these models, see "
                                       "--list-models")};
  cl::opt<std::string> formats{"format", cl::value_desc("a,b"), cl::cat(what),
                               cl::desc("Only these: f32, bf16")};
  cl::opt<std::string> tokens{"tokens", cl::value_desc("1,64"), cl::cat(what),
                              cl::desc("Numbers of tokens (default: the "
                                       "suite's; 1,16,512 for a file)")};
  cl::opt<std::string> baselines{
      "baselines", cl::value_desc("a,b"), cl::init("onednn,unfused"),
      cl::cat(what), cl::desc("onednn, unfused (default: both) or none")};
  cl::opt<std::string> modelsDir{
      "models-dir", cl::value_desc("folder"), cl::cat(what),
      cl::desc("Where the models' configurations are")};

  tools::DeviceOption device{line, "layers run on the CPU"};
  cl::list<std::string> targetDescriptions{
      "target-description", cl::value_desc("file"), cl::cat(running),
      cl::desc("The chip to compile for, as moe-describe-cpu writes it "
               "(default: the native target)")};
  cl::opt<std::string> threads{
      "threads", cl::value_desc("1,all"), cl::cat(running),
      cl::desc("Numbers of threads, or all (default)")};
  cl::opt<int> repeats{"repeats", cl::value_desc("N"), cl::cat(running),
                       cl::desc("Runs a row (default: about a second's worth, "
                                "at least 7)")};
  cl::opt<double> zipf{
      "zipf", cl::value_desc("S"), cl::cat(what),
      cl::desc("Draw tokens from rows of which the n-th is as likely as 1/n to "
               "the power S, so that experts have very different numbers of "
               "them (default: 0, all rows differ)")};
  cl::opt<std::string> artifactDir{
      "artifact-dir", cl::value_desc("folder"), cl::cat(running),
      cl::desc("Keep the compiled layers in this folder")};
  cl::opt<bool> reuse{"reuse-artifacts", cl::cat(running),
                      cl::desc("Do not compile what is in the artifact "
                               "folder")};

  cl::opt<bool> phases{"phases", cl::cat(out),
                       cl::desc("Also print the share of each phase")};
  cl::opt<bool> checkReport{
      "check-report", cl::cat(out),
      cl::desc("Also print what moe-compile --report expects of each row on "
               "the machine as it is, and how far off that is")};
  cl::opt<std::string> json{"json", cl::value_desc("file"), cl::cat(out),
                            cl::desc("Also write what was measured there")};

  cl::opt<bool> list{"list", cl::cat(general),
                     cl::desc("List the suites and stop")};

  CommandLine();

  /// What the command line said, or why it cannot be. The suite is there.
  bool read(Options &options, std::string &error) const;
  /// The layer of a file; nothing after an error, which may have been printed.
  std::optional<BenchModel> readOwn(tools::ModelFile &module,
                                    std::string &error) const;
};

} // namespace moe::bench

#endif // MOE_TOOLS_MOEBENCH_OPTIONS_H
