//===- Options.h - The command line of moe-compile ---------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOECOMPILE_OPTIONS_H
#define MOE_TOOLS_MOECOMPILE_OPTIONS_H

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/InputFile.h"

#include <optional>

namespace moe::compile {

namespace cl = llvm::cl;

/// What is written, and where: the files of an artifact, unless a stage or a
/// text is asked for.
struct Outputs {
  std::optional<Stage> stage;
  std::optional<CodeKind> text;
  /// Kernels for Vulkan: "spirv", "glsl" or "msl".
  std::string shaders;
  /// The model, before anything is compiled.
  bool model = false;
  /// What a report is written as: "text", "html" or "json".
  std::string report;
  std::string base;

  bool isArtifact() const {
    return !stage && !text && shaders.empty() && !model && report.empty();
  }
};

struct CommandLine {
  tools::CommandLine line{
      {"moe-compile",
       "Compiles model IR ahead of time into kernels.",
       "[model.mlir]",
       {{"An object, libraries, a C header and a manifest: "
         "layer.{o,a,so,h,json}",
         "moe-compile layer.mlir -o out/layer"},
        {"The IR after fusion, for one target",
         "moe-compile layer.mlir --target=x86-64-v4 --compile-to=fused"},
        {"What is expected of it",
         "moe-compile layer.mlir --target=native --report"},
        {"Weights in formats that fit into a budget, and what moe-quantize "
         "has to do then",
         "moe-compile layer.mlir --fit=2.5GiB -o out/layer"},
        {"The machine code", "moe-compile layer.mlir --target=native "
                             "--emit=asm -o layer.s"}},
       "Without a file, or with -, the model is read from standard input.",
       knownTargets()}};
  cl::OptionCategory &in = line.group("Input"), &code = line.group("Code"),
                     &fitting = line.group("Formats of weights"),
                     &out = line.group("Output");

  cl::opt<std::string> input{cl::Positional, cl::init("-"), cl::cat(in)};
  tools::BytecodeOption bytecode{line};
  tools::PluginOptions plugins{line};

  cl::list<std::string> targets{
      "target", cl::CommaSeparated, cl::value_desc("name,..."), cl::cat(code),
      cl::desc("Targets, see --list-targets; native, and a beginning with a * "
               "for all names with it (default: all of this machine's "
               "architecture)")};
  cl::list<std::string> targetDescriptions{
      "target-description", cl::value_desc("file"), cl::cat(code),
      cl::desc(
          "A chip that a JSON file describes, as --print-target writes it; "
          "may be repeated")};
  cl::opt<std::string> passes{
      "pass-pipeline", cl::value_desc("passes"), cl::cat(code),
      cl::desc("Passes to run on the model first, written as for moe-opt")};
  tools::CompilationOptions compilation{line};
  tools::ExternalOption external{
      line, "objects, archives or shared libraries to link the shared library "
            "with (default: who loads it has them)"};
  cl::opt<std::string> entryPrefix{
      "entry-prefix", cl::value_desc("prefix"), cl::cat(code),
      cl::desc("What the names of all functions begin with in C")};
  cl::opt<bool> noFuse{"no-fuse", cl::cat(code),
                       cl::desc("One kernel per operation of the model")};
  cl::opt<bool> recordRouting{
      "record-routing", cl::cat(code),
      cl::desc("Return the routings, too: routing.indices, routing.weights and "
               "routing.counts")};
  cl::opt<bool> replayRouting{
      "replay-routing", cl::cat(code),
      cl::desc("Take the routings as arguments instead of computing them")};
  cl::opt<bool> dropRouterArguments{
      "drop-router-arguments", cl::cat(code),
      cl::desc("With --replay-routing: leave out arguments that only the "
               "routers used")};
  cl::opt<unsigned> codegenLevel{
      "codegen-level", cl::init(2), cl::value_desc("0-3"), cl::cat(code),
      cl::desc("LLVM's code generation level (default: 2)")};
  cl::opt<std::string> ptxas{
      "ptxas", cl::value_desc("file|auto"), cl::cat(code),
      cl::desc("NVIDIA's assembler, whose code goes beside PTX; auto for the "
               "one that is found, if any (default: PTX alone)")};
  cl::opt<bool> optimizeIR{
      "optimize-ir", cl::init(true), cl::cat(code),
      cl::desc("Clean up the LLVM IR before code generation (default: on)")};

  cl::opt<std::string> fit{
      "fit", cl::value_desc("bytes"), cl::cat(fitting),
      cl::desc(
          "Store matrices of experts in formats such that all weights take "
          "no more than that: 600M, 2.5GiB")};
  cl::opt<std::string> fitFor{
      "fit-for", cl::init("error"), cl::value_desc("goal"), cl::cat(fitting),
      cl::desc("What is to be small: what is lost, or times of calls "
               "(default: error)")};
  cl::opt<int64_t> fitTokens{
      "fit-tokens", cl::init(1), cl::value_desc("n"), cl::cat(fitting),
      cl::desc("Tokens of the calls whose times count (default: 1)")};
  cl::opt<std::string> fitFormatNames{
      "fit-formats", cl::value_desc("format,..."), cl::cat(fitting),
      cl::desc("What matrices may become, such as q8_0,q4_k,keep (default: all "
               "that can be written)")};
  cl::list<std::string> inputFiles{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."),
      cl::cat(fitting),
      cl::desc("Tensors of the model, .safetensors or .npy: <function>/<name>, "
               "or <name> for all functions")};
  cl::opt<std::string> importance{
      "importance", cl::value_desc("profile"), cl::cat(fitting),
      cl::desc("Make errors small where it counts: by what weights are "
               "multiplied with, which moe-run --profile-out wrote")};

  cl::opt<std::string> output{
      "o", cl::value_desc("base"), cl::cat(out),
      cl::desc("Base name of the files written; for IR and assembly the file "
               "itself, - for standard output")};
  cl::list<std::string> emit{
      "emit", cl::CommaSeparated, cl::value_desc("kind,..."), cl::cat(out),
      cl::desc("What to write (default: all files; model, asm, llvm-ir, and of "
               "kernels for Vulkan spirv, glsl and msl stand alone)")};
  cl::opt<std::string> compileTo{
      "compile-to", cl::value_desc("stage"), cl::cat(out),
      cl::desc("Print the IR after a stage instead")};
  cl::opt<std::string> report{
      "report", cl::ValueOptional, cl::value_desc("text|html|json"),
      cl::cat(out),
      cl::desc("Print what was decided, what calls are expected to take and "
               "what kernels of a GPU need, instead: as text, as a page, or "
               "for programs")};
  cl::opt<int> reportThreads{
      "report-threads", cl::init(0), cl::value_desc("n"), cl::cat(out),
      cl::desc(
          "Threads of the calls in the report (default: the cores that the "
          "target says it has, or 1)")};
  cl::opt<bool> printTarget{
      "print-target", cl::cat(out),
      cl::desc("Write the description of the target as JSON, without a model")};
  cl::opt<std::string> runtimeDirectory{
      "runtime-dir", cl::value_desc("folder"), cl::cat(out),
      cl::desc("Where libmoe_rt.so is (default: the lib folder beside this "
               "program)")};

  CommandLine() {
    line.choose(emit, {"obj", "lib", "shared", "header", "manifest", "model",
                       "asm", "llvm-ir", "spirv", "glsl", "msl"});
    line.choose(fitFor, {"error", "speed"});
    line.choose(compileTo, stageNames());
    line.addList("list-targets", "List the targets", describeTargets);
  }

  /// Chooses formats as --fit asks for it: the model says which, and `text`
  /// why. False without an error if diagnostics tell.
  bool fitFormats(mlir::ModuleOp model, const CompileOptions &options,
                  std::string &text, std::string &error) const;

  /// What the command line said, or why it cannot be.
  bool read(CompileOptions &options, Outputs &outputs, RoutingOptions &routing,
            std::string &error) const;
};

} // namespace moe::compile

#endif // MOE_TOOLS_MOECOMPILE_OPTIONS_H
