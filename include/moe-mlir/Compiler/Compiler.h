//===- Compiler.h - From IR to an artifact ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The driver behind `moe-compile`: every target variant of a module becomes an
// object of its own, and a dispatcher picks one when the code is loaded.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_COMPILER_COMPILER_H
#define MOE_MLIR_COMPILER_COMPILER_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Pipelines/Pipelines.h"
#include "moe-mlir/Report/CompileReport.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Target/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Support/Timing.h"

#include <functional>
#include <string>
#include <vector>

namespace moe {

struct CompileOptions {
  /// Names as in --target, or beginnings of names with a *. `native` is the
  /// best one for this machine. Without names and descriptions, an artifact is
  /// for the module's `moek.target`, or all of this machine's architecture. An
  /// artifact is for one architecture, and any devices beside it.
  std::vector<std::string> targets;
  /// Files that describe further chips, see Target.h.
  std::vector<std::string> targetDescriptions;
  /// Fused kernels, or one kernel per operation of the model.
  bool fuse = true;
  /// How rows are rounded where they multiply weights in a format, as
  /// `moek.activations` of a module says it, one of getRowTypes(); empty: as it
  /// does.
  std::string activations;
  /// Who makes the innermost functions of kernels, as `moek.codegen` of a
  /// module says it: `halide`, `halide-only` or `halide-object`; empty: as it
  /// does.
  std::string codegen;
  /// LLVM's optimization level of code generation, 0 to 3.
  unsigned codegenLevel = 2;
  /// Also run LLVM's light cleanup of the IR before code generation.
  bool optimizeIR = true;
  /// NVIDIA's assembler, whose code artifacts hold beside PTX: its path, or
  /// `auto` for the one that is found, if any. Empty: PTX alone, so that
  /// artifacts are the same wherever they are made.
  std::string ptxas;
  /// What the names of all functions begin with in C.
  std::string entryPrefix;
  /// For the manifest: passes that ran on the model before, as --pass-pipeline
  /// takes them.
  std::string passPipeline;
  /// Passes of others, beside those that plugins registered. The manifest names
  /// all that ran.
  PipelineExtensions extensions;
  /// Which files to write.
  bool object = true, library = true, shared = true, header = true,
       manifest = true;
  /// Objects and libraries with the C functions that experts call, for the
  /// shared library. Empty: whoever loads it has them.
  std::vector<std::string> externals;
  /// Where libmoe_rt is, for the shared library; empty: beside the program.
  std::string runtimeDirectory;
  /// Sees every pass manager before it runs, on the thread on which it does.
  std::function<llvm::LogicalResult(mlir::PassManager &)> setUp = {};
  /// What the time of each step and pass becomes part of; may be null.
  mlir::TimingScope *timing = nullptr;
  /// Compile targets one after another, not side by side: passes print.
  bool oneByOne = false;
  /// Told of the steps.
  ProgressFn progress = {};
};

/// The names of all chips; and the same with what they are, a line each.
std::vector<std::string> knownTargets();
std::vector<std::string> describeTargets();

using TargetList = llvm::SmallVector<moek::TargetAttrInterface>;

/// The chips that `module` is compiled for: that of its `moek.target`, or those
/// that `options` ask for, by file and then in the order of the known ones,
/// CPUs before devices. Errors are diagnostics.
mlir::FailureOr<TargetList> resolveTargets(mlir::ModuleOp module,
                                           const CompileOptions &options);

/// Whether the artifact of `manifest` was made for the same targets, with the
/// same passes of others, as `module` would be now.
bool isMadeAs(const Manifest &manifest, mlir::ModuleOp module,
              const CompileOptions &options);

/// Compiles all entry functions of `module` for all targets and writes
/// `outputBase`.o, .a, .so, .h and .json, all of them or none. Errors are
/// diagnostics.
llvm::LogicalResult compileToArtifact(mlir::ModuleOp module,
                                      const CompileOptions &options,
                                      llvm::StringRef outputBase);

/// The module after `stage`, for one chip.
mlir::OwningOpRef<mlir::ModuleOp> compileToStage(mlir::ModuleOp module,
                                                 const CompileOptions &options,
                                                 moek::TargetAttrInterface chip,
                                                 Stage stage);

/// The threads of calls that are to be described: those that were asked for, or
/// 0 for the cores that the chip says it has, or one.
int getCallThreads(moek::TargetAttrInterface chip, int asked);

/// What `module` becomes for `chip`, and what calls with `threads` threads are
/// expected to take; 0: those of its cores, or one. All sizes of a function are
/// the number of tokens.
mlir::FailureOr<CompileReport>
describeCompilation(mlir::ModuleOp module, const CompileOptions &options,
                    moek::TargetAttrInterface chip, int threads);

/// What can be said of the kernels for a chip that is a device: see
/// KernelFacts.h. None for CPUs.
llvm::LogicalResult describeKernels(mlir::ModuleOp module,
                                    const CompileOptions &options,
                                    moek::TargetAttrInterface chip,
                                    std::vector<KernelFacts> &kernels);

/// The code of one chip as text; kernels of a device may be bytes.
llvm::LogicalResult compileToText(mlir::ModuleOp module,
                                  const CompileOptions &options,
                                  moek::TargetAttrInterface chip, CodeKind kind,
                                  llvm::raw_ostream &os);

/// The kernels of one chip, for Vulkan: `spirv`, a module; or what spirv-cross
/// makes of that, a text for each kernel: `glsl` or `msl`.
llvm::LogicalResult compileToShaders(mlir::ModuleOp module,
                                     const CompileOptions &options,
                                     moek::TargetAttrInterface chip,
                                     llvm::StringRef language,
                                     llvm::raw_ostream &os);

/// Dialects, interface implementations and translations the compiler needs.
void registerCompilerDialects(mlir::DialectRegistry &registry);

} // namespace moe

#endif // MOE_MLIR_COMPILER_COMPILER_H
