//===- Options.cpp - The command line of moe-run ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "moe-mlir/Run/Device.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace moe::run;

bool Given::readInputs(std::string &error) {
  if (!options.random.read(inputs.seed, error) ||
      !options.sizes.read(inputs.sizes, error) ||
      !moe::Checkpoint::open(options.checkpoint.path, inputs.checkpoint, error))
    return false;
  for (const std::string &file : options.inputFiles)
    if (!inputs.tensors.addFile(file, error))
      return false;
  StringMap<char> names;
  for (const moe::HostTensor &tensor : inputs.tensors.all())
    if (!names.try_emplace(tensor.name).second) {
      error = "tensor '" + tensor.name + "' is in the --inputs twice";
      return false;
    }
  return options.weightsFile.empty() ||
         inputs.packed.addFile(options.weightsFile, error);
}

bool Given::read(std::string &error) {
  auto fail = [&](const Twine &message) {
    error = message.str();
    return false;
  };
  if (options.verifyTokens < 0)
    return fail("--verify-tokens has to be 0 or more");
  if (options.bench.getNumOccurrences()) {
    repeats = 10;
    if (!options.bench.empty() &&
        StringRef(options.bench).getAsInteger(10, repeats))
      return fail("--bench=" + options.bench +
                  ": expected a number of repeats");
    if (repeats < 1)
      return fail("--bench: expected 1 or more repeats");
  }
  if (options.emulator.getNumOccurrences()) {
    for (StringRef word : split(StringRef(options.emulator).trim(), ' '))
      if (!word.empty())
        emulator.command.push_back(word.str());
    if (!emulator.isGiven())
      return fail("--emulator: expected a command");
    if (repeats)
      return fail("--bench: times in an emulator tell nothing");
  }
  if (!options.external.load(emulator.isGiven() ? &emulator.objects : nullptr,
                             error))
    return false;
  if (options.device.getNumOccurrences()) {
    bool isHost = options.device == kHostDevice;
    if (emulator.isGiven() && !isHost)
      return fail("--device: an emulator runs code for CPUs");
    if (!isHost && Device::getKind(options.device).empty())
      return fail(
          "--device=" + options.device +
          ": expected cpu, cuda, hip or vulkan, and :N for that of number N");
  }
  if (!options.json.empty() && !repeats)
    return fail("--json is for what --bench measures");
  if (!readInputs(error))
    return false;

  StringRef extension = sys::path::extension(options.inputFile);
  isModel = extension != ".so" && extension != ".json" && extension != ".a" &&
            extension != ".o";
  isCrossChecked = options.crossCheck.getNumOccurrences() > 0;
  isVerified = options.verify || options.verifyTokens > 0 || isCrossChecked;
  hasReport = !options.routingReport.empty();
  hasProfile = !options.profile.empty();
  if (isModel && !options.modelFile.empty())
    return fail("--model is for artifacts; '" + options.inputFile +
                "' is a model");
  if (isCrossChecked && options.crossCheck != "halide")
    return fail("--cross-check=" + options.crossCheck + ": expected halide");
  if (isCrossChecked && !isModel)
    return fail("--cross-check compiles a model twice; '" + options.inputFile +
                "' is an artifact");
  if (isCrossChecked && emulator.isGiven())
    return fail("--cross-check: not in an emulator");
  if (!isModel && isVerified && options.modelFile.empty())
    return fail("--verify needs what the artifact was compiled from: "
                "--model=model.mlir");

  routing = {options.recordRouting, options.replayRouting,
             options.dropRouterArguments};
  if (routing.dropArguments && !routing.replay)
    return fail("--drop-router-arguments goes with --replay-routing");
  if ((routing.record || routing.replay) && !isModel && !isVerified)
    return fail("an artifact records or replays routings when moe-compile was "
                "told so; --record-routing and --replay-routing change models");
  return true;
}
