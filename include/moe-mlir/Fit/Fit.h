//===- Fit.h - Formats of weights that fit into a budget ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which format each matrix of experts gets, so that all weights of a model are
// no more than so many bytes and errors, or times, as small as can be. What was
// decided is in the IR: `moe.format` of arguments.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_FIT_FIT_H
#define MOE_MLIR_FIT_FIT_H

#include "moe-mlir/Compiler/Compiler.h"
#include "moe-mlir/Quantize/Quantize.h"
#include "moe-mlir/Report/FitReport.h"

#include <optional>
#include <string>
#include <vector>

namespace moe::fit {

struct FitOptions {
  /// What all packed weights may take.
  int64_t budget = 0;
  /// Whether times are to be small; else errors.
  bool isForSpeed = false;
  /// Of the calls whose times are told.
  int64_t tokens = 1;
  /// Threads of the calls; 0 for the cores of the chip.
  int threads = 0;
  /// What matrices may become, without a type for what they are; empty for all
  /// that can be written.
  std::vector<std::optional<WeightType>> formats = {};
  /// The weights, to measure errors on; null for normal draws.
  const TensorPool *tensors = nullptr;
  /// What weights were multiplied with, or null.
  const Profile *profile = nullptr;
  /// How the model is compiled, and for whom: the best of its targets counts,
  /// this machine's if it names none.
  CompileOptions compile = {};
  /// Told of weights that were measured.
  ProgressFn progress = {};
};

/// Reads "600M", "2.5GiB" or a number of bytes. K, M, G and T, with or without
/// a B, are powers of 1000, KiB and so on of 1024.
bool parseBytes(llvm::StringRef text, int64_t &bytes, std::string &error);

/// Gives each matrix of experts that has no `moe.format` one. False if that
/// cannot be, with a message or diagnostics; the module is as it was then.
bool selectFormats(mlir::ModuleOp module, FitOptions options, FitReport &report,
                   std::string &error);

/// What selectFormats() needs to know of formats.
void registerFormatModels(mlir::DialectRegistry &registry);

} // namespace moe::fit

#endif // MOE_MLIR_FIT_FIT_H
