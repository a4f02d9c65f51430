//===- Options.cpp - The command line of moe-compile -------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace moe::compile;

bool CommandLine::read(moe::CompileOptions &options, Outputs &outputs,
                       moe::RoutingOptions &routing, std::string &error) const {
  auto fail = [&](const Twine &message) {
    error = message.str();
    return false;
  };
  options.targets.assign(targets.begin(), targets.end());
  options.targetDescriptions.assign(targetDescriptions.begin(),
                                    targetDescriptions.end());
  options.fuse = !noFuse;
  options.entryPrefix = entryPrefix;
  options.codegenLevel = codegenLevel;
  options.optimizeIR = optimizeIR;
  options.ptxas = ptxas;
  options.externals.assign(external.files.begin(), external.files.end());
  options.runtimeDirectory = runtimeDirectory;
  options.passPipeline = passes;
  if (codegenLevel > 3)
    return fail("--codegen-level is 0 to 3");

  if (!emit.empty()) {
    auto emits = [&](StringRef kind) { return llvm::is_contained(emit, kind); };
    options.object = emits("obj");
    options.library = emits("lib");
    options.shared = emits("shared");
    options.header = emits("header");
    options.manifest = emits("manifest");
    if (emits("asm"))
      outputs.text = moe::CodeKind::Assembly;
    if (emits("llvm-ir"))
      outputs.text = moe::CodeKind::LLVMIR;
    outputs.model = emits("model");
    for (StringRef language : {"spirv", "glsl", "msl"})
      if (emits(language))
        outputs.shaders = language.str();
    if ((outputs.text || outputs.model || !outputs.shaders.empty()) &&
        emit.size() > 1)
      return fail(
          "--emit=" +
          *llvm::find_if(emit,
                         [](StringRef kind) {
                           return !llvm::is_contained(
                               {"obj", "lib", "shared", "header", "manifest"},
                               kind);
                         }) +
          " stands alone");
  }
  if (!compileTo.empty())
    outputs.stage = moe::parseStage(compileTo);
  if (report.getNumOccurrences())
    outputs.report = report.empty() ? "text" : report.getValue();
  if (!outputs.report.empty() && outputs.report != "text" &&
      outputs.report != "html" && outputs.report != "json")
    return fail("--report: unknown value '" + report +
                "'; known are text, html and json");
  if (reportThreads < 0 || reportThreads > 4096)
    return fail("--report-threads is 1 to 4096");
  auto needsFit = [&](const cl::Option &option) {
    return option.getNumOccurrences() && fit.empty()
               ? fail("--" + option.ArgStr + " goes with --fit")
               : true;
  };
  if (!needsFit(fitFor) || !needsFit(fitTokens) || !needsFit(fitFormatNames) ||
      !needsFit(inputFiles) || !needsFit(importance))
    return false;
  if (fitTokens < 1)
    return fail("--fit-tokens needs a number of at least 1");
  routing = {recordRouting, replayRouting, dropRouterArguments};
  if (routing.dropArguments && !routing.replay)
    return fail("--drop-router-arguments goes with --replay-routing");
  std::string &base = outputs.base = output;
  if (outputs.isArtifact() && !printTarget) {
    if (base.empty()) {
      if (input == "-")
        return fail("name the files to write with -o");
      SmallString<128> path(input.getValue());
      llvm::sys::path::replace_extension(path, "");
      base = path.str().str();
    }
    // Files without a name, or with the name of standard output.
    if (base == "-" || llvm::sys::path::is_separator(base.back()))
      return fail("-o " + base +
                  ": expected the base name of several files, such as model "
                  "for model.so and model.json");
  }
  return true;
}
