//===- moe-pack.cpp - Writes packed weights --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// From a model's weights to the file that compiled functions map and read in
// place.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/CheckpointUse.h"
#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;

namespace {

struct Options {
  moe::tools::CommandLine line{
      {"moe-pack",
       "Packs weights into the layout of compiled functions.",
       "<artifact.json>",
       {{"The weights of a model, by the names of its tensors",
         "moe-pack layer.json --inputs=model.safetensors "
         "-o packed.safetensors"},
        {"Those of a model's files, which it was imported from",
         "moe-pack layers.json --checkpoint=OLMoE-1B-7B -o packed.safetensors"},
        {"Random ones", "moe-pack layer.json --random=1 "
                        "-o packed.safetensors"},
        {"For one of several targets that the artifact has code for",
         "moe-pack layer.json --target=vulkan --random=1 "
         "-o vulkan.safetensors"}},
       moe::randomHelp}};
  cl::OptionCategory &in = line.group("Input"), &out = line.group("Output");

  cl::opt<std::string> manifestFile{cl::Positional, cl::Required, cl::cat(in),
                                    cl::desc("<artifact.json>")};
  cl::list<std::string> inputFiles{
      "inputs", cl::CommaSeparated, cl::value_desc("file,..."), cl::cat(in),
      cl::desc("Tensors of the model, .safetensors or .npy: <function>/<name>, "
               "or <name> for all functions")};
  moe::tools::CheckpointOption checkpoint{line};
  moe::tools::RandomOption random{line};
  cl::list<std::string> entries{
      "entry", cl::CommaSeparated, cl::value_desc("name,..."), cl::cat(in),
      cl::desc("Functions to pack for (default: all)")};
  cl::opt<std::string> target{
      "target", cl::value_desc("name"), cl::cat(out),
      cl::desc("Of the artifact's targets, the one whose layout weights are "
               "packed in (default: the first)")};
  cl::opt<std::string> outputFile{"o", cl::Required,
                                  cl::value_desc("packed.safetensors"),
                                  cl::cat(out), cl::desc("The file to write")};
};

} // namespace

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-pack");
  Options options;
  options.line.parse(argc, argv);
  auto fail = [&](const Twine &message) { return options.line.fail(message); };

  std::string error, path = options.manifestFile;
  if (sys::path::extension(path) == ".so") {
    SmallString<128> sibling(path);
    sys::path::replace_extension(sibling, ".json");
    path = sibling.str().str();
  }
  moe::Manifest manifest;
  if (!moe::readManifest(path, manifest, error))
    return fail(error);
  if (!options.target.empty() && !manifest.selectTarget(options.target, error))
    return fail(path + ": " + error);
  moe::FunctionInputs inputs;
  if (!options.random.read(inputs.seed, error) ||
      !moe::Checkpoint::open(options.checkpoint.path, inputs.checkpoint, error))
    return fail(error);
  for (const std::string &file : options.inputFiles)
    if (!inputs.tensors.addFile(file, error))
      return fail(error);

  std::vector<const moe::FunctionDesc *> functions;
  if (options.entries.empty())
    for (const moe::FunctionDesc &function : manifest.functions)
      functions.push_back(&function);
  for (const std::string &name : options.entries) {
    functions.push_back(manifest.select(name, error));
    if (!functions.back())
      return fail(path + ": " + error);
  }
  for (const moe::FunctionDesc *function : functions)
    if (!inputs.check(manifest, *function, nullptr, error))
      return fail(error);
  if (inputs.checkpoint) {
    std::vector<std::string> unused =
        moe::findUnusedTensors(*inputs.checkpoint, functions);
    if (!unused.empty())
      WithColor::warning(errs(), "moe-pack")
          << options.checkpoint.path << ": " << moe::listTensors(unused)
          << (unused.size() == 1 ? " is" : " are")
          << " beside the weights of these layers, and not used by them\n";
  }
  // Weights are read while the file is written.
  std::vector<std::string> read = options.inputFiles;
  read.push_back(path);
  if (inputs.checkpoint)
    llvm::append_range(read, inputs.checkpoint->getFiles());
  for (const std::string &file : read)
    if (sys::fs::equivalent(file, options.outputFile))
      return fail(options.outputFile + ": is one of the files that are read");
  moe::OutputSet outputs;
  moe::Progress progress("packing", "B");
  if (!moe::writePackedWeights(
          outputs, options.outputFile, manifest, functions, inputs.source(),
          inputs.fill(), error, progress.function(),
          /*fromCheckpoint=*/inputs.checkpoint && options.inputFiles.empty()) ||
      !outputs.commit(error))
    return fail(error);
  return 0;
}
