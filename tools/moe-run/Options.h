//===- Options.h - The command line of moe-run ------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_OPTIONS_H
#define MOE_TOOLS_MOERUN_OPTIONS_H

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Run/Emulator.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"

namespace moe::run {

namespace cl = llvm::cl;

struct CommandLine {
  tools::CommandLine line{
      {"moe-run",
       "Runs, checks and times compiled functions.",
       "<artifact.so | artifact.json | model.mlir>",
       {{"A model on random tensors, compared with the interpreter",
         "moe-run layer.mlir --random=1 --tokens=16 --verify"},
        {"An artifact with packed weights, timed",
         "moe-run out/layer.so --weights=out/layer.safetensors "
         "--inputs=x.npy --bench"},
        {"Code for another machine, in an emulator",
         "moe-run layer.mlir --random=1 --tokens=4 "
         "--emulator=\"qemu-aarch64 -cpu max\""}},
       randomHelp,
       knownTargets()}};
  cl::OptionCategory &in = line.group("Input"), &code = line.group("Code"),
                     &running = line.group("Running"),
                     &out = line.group("Output");

  cl::opt<std::string> inputFile{
      cl::Positional, cl::Required, cl::cat(in),
      cl::desc("<artifact.so | artifact.json | model.mlir>")};
  tools::EntryOption entryOption{line};
  cl::opt<std::string> &entry = entryOption.entry;
  cl::list<std::string> inputFiles{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."), cl::cat(in),
      cl::desc("Arguments: .safetensors files, or .npy files named like the "
               "argument; tensors match by moe.name")};
  cl::opt<std::string> weightsFile{
      "weights", cl::value_desc("packed.safetensors"), cl::cat(in),
      cl::desc("Weights packed by moe-pack, used where they are mapped")};
  tools::CheckpointOption checkpoint{line};
  tools::RandomOption random{line};
  tools::SizeOptions sizes{line};
  tools::BytecodeOption bytecode{line};
  tools::PluginOptions plugins{line};

  cl::list<std::string> targets{
      "target", cl::CommaSeparated, cl::value_desc("name,..."), cl::cat(code),
      cl::desc("Targets to compile a model for, see --list-targets (default: "
               "native)")};
  cl::opt<std::string> passes{
      "pass-pipeline", cl::value_desc("passes"), cl::cat(code),
      cl::desc("Passes to run on a model before it is compiled, written as for "
               "moe-opt; --verify compares with the model as it was")};
  tools::CompilationOptions compilation{line};
  cl::opt<bool> noFuse{"no-fuse", cl::cat(code),
                       cl::desc("Compile a model without fused kernels")};
  cl::opt<bool> recordRouting{
      "record-routing", cl::cat(code),
      cl::desc("For a model: return its routings, too (as moe-compile does)")};
  cl::opt<bool> replayRouting{
      "replay-routing", cl::cat(code),
      cl::desc("For a model: take its routings as arguments")};
  cl::opt<bool> dropRouterArguments{
      "drop-router-arguments", cl::cat(code),
      cl::desc("With --replay-routing: leave out arguments that only the "
               "routers used")};

  tools::ExternalOption external{
      line,
      "shared libraries; and with --emulator objects and archives to link "
      "with, of which shared libraries have the same for --verify"};
  tools::ThreadsOption threadsOption{line};
  cl::opt<unsigned> &threads = threadsOption.threads;
  cl::opt<std::string> emulator{
      "emulator", cl::value_desc("command"), cl::cat(running),
      cl::desc("Run code for another CPU in a program of its own, by this "
               "command: \"qemu-aarch64 -cpu cortex-a72\"")};
  tools::DeviceOption deviceOption{
      line, "the first that there is code for; cpu: none"};
  cl::opt<std::string> &device = deviceOption.device;
  cl::opt<bool> verify{
      "verify", cl::cat(running),
      cl::desc("Compare with the float64 interpreter; fails when the results "
               "differ")};
  cl::opt<int64_t> verifyTokens{
      "verify-tokens", cl::init(0), cl::value_desc("N"), cl::cat(running),
      cl::desc("Compare only N tokens (implies --verify)")};
  cl::opt<std::string> crossCheck{
      "cross-check", cl::value_desc("generator"), cl::cat(running),
      cl::desc("Compare all tokens with the code of another generator, halide, "
               "and a few with the interpreter, for layers that are large for "
               "--verify; fails when the results differ")};
  cl::opt<std::string> modelFile{
      "model", cl::value_desc("model.mlir"), cl::cat(in),
      cl::desc("What the artifact was compiled from, for --verify, --bench, "
               "--profile-out and --routing-report")};
  cl::opt<std::string> bench{
      "bench", cl::ValueOptional, cl::value_desc("repeats"), cl::cat(running),
      cl::desc("Time the call (default: 10 repeats) beside what this machine "
               "can do")};

  cl::opt<std::string> output{
      "output", cl::value_desc("file | folder"), cl::cat(out),
      cl::desc("Write the results: to a .safetensors file, to a .npy file (one "
               "result), or to NAME.npy in a folder")};
  cl::alias outputShort{"o",           cl::aliasopt(output),
                        cl::NotHidden, cl::value_desc("file | folder"),
                        cl::cat(out),  cl::desc("The same as --output")};
  cl::opt<std::string> json{"json", cl::value_desc("file"), cl::cat(out),
                            cl::desc("Also write what was measured there")};
  cl::opt<bool> trace{"trace", cl::cat(out),
                      cl::desc("Print routing and phases to stderr")};
  cl::opt<std::string> routingReport{
      "routing-report", cl::value_desc("file.html"), cl::cat(out),
      cl::desc("Write a page that shows how evenly routers use their experts; "
               "without --entry all functions run, the n-th (from 0) on random "
               "tensors of SEED + n")};

  cl::opt<std::string> profile{
      "profile-out", cl::value_desc("file"), cl::cat(out),
      cl::desc("Write a profile: what routers choose and, in the interpreter, "
               "what weights are multiplied with; functions run as for "
               "--routing-report")};

  CommandLine() {
    line.addList("list-targets", "List the targets", describeTargets);
  }
};

/// What the command line said.
struct Given {
  CommandLine &options;
  FunctionInputs inputs;
  int64_t repeats = 0;
  run::Emulator emulator;
  bool isModel = false, isVerified = false, isCrossChecked = false,
       hasReport = false, hasProfile = false;
  RoutingOptions routing = {};

  bool read(std::string &error);

private:
  bool readInputs(std::string &error);
};

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_OPTIONS_H
