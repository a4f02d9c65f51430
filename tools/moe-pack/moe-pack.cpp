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

#include "moe-mlir/Artifact/FunctionInputs.h"
#include "moe-mlir/Support/Random.h"
#include "moe-mlir/Tool/ToolProcess.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/WithColor.h"

using namespace llvm;

static cl::OptionCategory category("moe-pack options");
static cl::opt<std::string> manifestFile(cl::Positional, cl::Required,
                                         cl::desc("<artifact.json>"),
                                         cl::cat(category));
static cl::list<std::string>
    inputFiles("inputs", cl::CommaSeparated, cl::value_desc("file,..."),
               cl::desc("Tensors of the model, .safetensors or .npy: "
                        "<function>/<name>, or <name> for all functions"),
               cl::cat(category));
static cl::opt<std::string>
    randomSeed("random", cl::value_desc("SEED"), cl::cat(category),
               cl::desc("Make up what no file has, see below"));
static cl::extrahelp randomHelp(moe::randomHelp);
static cl::list<std::string>
    entries("entry", cl::CommaSeparated, cl::value_desc("name,..."),
            cl::desc("Functions to pack for (default: all)"),
            cl::cat(category));
static cl::opt<std::string> outputFile("o", cl::Required,
                                       cl::value_desc("packed.safetensors"),
                                       cl::desc("The file to write"),
                                       cl::cat(category));

static int fail(const Twine &message) {
  WithColor::error(errs(), "moe-pack") << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  moe::ToolProcess process(argc, argv, "moe-pack");
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Packs weights into the layout of compiled functions\n");

  std::string error, path = manifestFile;
  if (sys::path::extension(path) == ".so") {
    SmallString<128> sibling(path);
    sys::path::replace_extension(sibling, ".json");
    path = sibling.str().str();
  }
  moe::Manifest manifest;
  if (!moe::readManifest(path, manifest, error))
    return fail(error);
  moe::FunctionInputs inputs;
  if (!randomSeed.empty()) {
    uint64_t seed;
    if (StringRef(randomSeed).getAsInteger(0, seed))
      return fail("--random=" + randomSeed + ": expected a whole number");
    inputs.seed = seed;
  }
  for (const std::string &file : inputFiles)
    if (!inputs.tensors.addFile(file, error))
      return fail(error);

  std::vector<const moe::FunctionDesc *> functions;
  if (entries.empty())
    for (const moe::FunctionDesc &function : manifest.functions)
      functions.push_back(&function);
  for (const std::string &name : entries) {
    functions.push_back(manifest.select(name, error));
    if (!functions.back())
      return fail(path + ": " + error);
  }
  for (const moe::FunctionDesc *function : functions)
    if (!inputs.check(manifest, *function, nullptr, error))
      return fail(error);
  moe::OutputSet outputs;
  if (!moe::writePackedWeights(outputs, outputFile, manifest, functions,
                               inputs.source(), inputs.fill(), error) ||
      !outputs.commit(error))
    return fail(error);
  return 0;
}
