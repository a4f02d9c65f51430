//===- Extensions.h - Passes of others within the stages --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every stage has a point at its end, `after-model`, `after-fused` and so on,
// where passes of users and of plugins run. The IR and what the stage promises
// of it are verified after each extension, so that what one breaks is reported
// as its fault.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_PIPELINES_EXTENSIONS_H
#define MOE_MLIR_PIPELINES_EXTENSIONS_H

#include "moe-mlir/Pipelines/Stages.h"

#include "mlir/Pass/PassManager.h"

#include <functional>

namespace moe {

/// What an extension may ask about the compilation that it becomes part of.
struct ExtensionContext {
  /// The one that the passes end.
  Stage stage = Stage::Model;
  /// The CPU; empty in the stages that run once for all targets, which are
  /// those before `planned`.
  llvm::StringRef target;
  /// Whether layers become fused kernels.
  bool fuse = true;
};

/// Adds passes on a module, or none. May be called on any thread, once or
/// several times a compilation, and adds the same for an equal context.
using BuildExtension =
    std::function<void(mlir::OpPassManager &, const ExtensionContext &)>;

class PipelineExtensions {
public:
  void add(Stage stage, BuildExtension build);

  /// Adds `text`: the name of a point, a colon, and a pipeline, with
  /// `builtin.module(` around it or without. Its passes are registered. False
  /// and `error` when there is no such point or pass.
  bool add(llvm::StringRef text, std::string &error);

  /// Adds those at the end of `context.stage` to `pm`, each followed by
  /// `verifier`: the registered ones, then these.
  void build(mlir::OpPassManager &pm, const ExtensionContext &context,
             const mlir::OpPassManager &verifier) const;

  /// What `build` adds, as texts that `add` takes.
  std::vector<std::string> describe(const ExtensionContext &context) const;

private:
  struct Entry {
    Stage stage;
    BuildExtension build;
  };
  std::vector<mlir::OpPassManager> get(const ExtensionContext &context) const;

  std::vector<Entry> entries;
};

/// Adds an extension to every compilation of this process from now on. For
/// plugins, which call it when they register their passes; not while anything
/// compiles.
void registerPipelineExtension(Stage stage, BuildExtension build);

} // namespace moe

#endif // MOE_MLIR_PIPELINES_EXTENSIONS_H
