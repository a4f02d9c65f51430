//===- Fit.cpp - What --fit asks for --------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Options.h"

#include "moe-mlir/Fit/Fit.h"

#include "llvm/ADT/StringExtras.h"

using namespace moe::compile;

/// The command that stores the tensors of the model as was chosen.
static std::string getCommand(const CommandLine &given,
                              const moe::FitReport &report) {
  if (report.rules.empty())
    return "";
  std::string text = "to store them: moe-quantize ";
  text += given.input == "-" ? "MODEL.mlir" : given.input.getValue();
  text += " --inputs=" + (given.inputFiles.empty()
                              ? "WEIGHTS.safetensors"
                              : llvm::join(given.inputFiles, ","));
  if (!given.importance.empty())
    text += " --importance=" + given.importance;
  return text + " --to='" + report.rules + "' -o STORED\n";
}

bool CommandLine::fitFormats(mlir::ModuleOp model,
                             const moe::CompileOptions &options,
                             std::string &text, std::string &error) const {
  moe::fit::FitOptions how;
  how.compile = options;
  how.isForSpeed = fitFor == "speed";
  how.tokens = fitTokens;
  how.threads = reportThreads;
  if (!moe::fit::parseBytes(fit, how.budget, error)) {
    error = "--fit: " + error;
    return false;
  }
  if (!fitFormatNames.empty() &&
      !moe::quantize::parseTypes(*model.getContext(), fitFormatNames,
                                 "--fit-formats", how.formats, error))
    return false;
  moe::TensorPool tensors;
  for (const std::string &file : inputFiles)
    if (!tensors.addFile(file, error))
      return false;
  if (!inputFiles.empty())
    how.tensors = &tensors;
  moe::Profile profile;
  if (!importance.empty()) {
    if (!moe::readProfile(importance, profile, error))
      return false;
    how.profile = &profile;
  }
  moe::Progress progress("choosing formats", "weights");
  how.progress = progress.function();
  moe::FitReport report;
  bool isFitted = moe::fit::selectFormats(model, how, report, error);
  progress.hide();
  if (isFitted)
    text = printText(report) + getCommand(*this, report);
  else if (!error.empty())
    error = "--fit=" + fit + ": " + error;
  return isFitted;
}
