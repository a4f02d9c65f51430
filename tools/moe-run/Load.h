//===- Load.h - What moe-run runs -------------------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_LOAD_H
#define MOE_TOOLS_MOERUN_LOAD_H

#include "Options.h"

#include "moe-mlir/Run/Artifact.h"
#include "moe-mlir/Support/TemporaryFolder.h"
#include "moe-mlir/Tool/InputFile.h"

#include "mlir/IR/MLIRContext.h"

namespace moe::run {

/// An artifact, which may have been compiled on the way, and the model that it
/// is of.
struct Loaded {
  // The folder outlives the library that is loaded from it.
  TemporaryFolder folder;
  std::unique_ptr<mlir::MLIRContext> context;
  /// Null if nobody asks for it.
  std::unique_ptr<tools::ModelFile> model;
  std::unique_ptr<Artifact> artifact;
  /// Of the same model, by the code generator that results are compared with;
  /// null if that was not asked for.
  std::unique_ptr<Artifact> other;

  /// False with an empty error if what is wrong has been said.
  bool load(const Given &given, std::string &error);
};

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_LOAD_H
