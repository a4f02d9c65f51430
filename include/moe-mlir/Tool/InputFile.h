//===- InputFile.h - Files that tools read ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Opens what a user names, and parses model IR. What can only fail, block or
// crash a reader is told before it is read.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TOOL_INPUTFILE_H
#define MOE_MLIR_TOOL_INPUTFILE_H

#include "moe-mlir/Tool/CommandLine.h"
#include "moe-mlir/Tool/Diagnostics.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

#include <memory>
#include <string>

namespace mlir {
class SourceMgrDiagnosticHandler;
} // namespace mlir

namespace moe::tools {

/// The content of a file, or of standard input for "-". Anything else than a
/// regular file is an error: pipes may block for ever, devices may never end.
std::unique_ptr<llvm::MemoryBuffer> openInput(llvm::StringRef path,
                                              std::string &error);

/// Whether `buffer` may be IR: text, or with `allowBytecode` MLIR's or LLVM's
/// binary form.
bool checkIR(const llvm::MemoryBuffer &buffer, bool allowBytecode,
             std::string &error);

/// What is wrong with the path of a model's checkpoint or configuration where
/// IR is expected, with the command that makes IR of it; empty for others.
std::string describeModelPath(llvm::StringRef path);

/// --allow-bytecode.
struct BytecodeOption {
  explicit BytecodeOption(CommandLine &line);

  llvm::cl::opt<bool> allow;
};

/// Model IR with its text, for the places in messages; they are printed as long
/// as it lives.
class ModelFile {
public:
  explicit ModelFile(mlir::MLIRContext &context);
  ~ModelFile();

  /// False after an error, which has been printed.
  bool parse(const CommandLine &line, llvm::StringRef path, bool allowBytecode);

  /// Prints remarks and warnings, which wait for their like.
  void flush() { merger->flush(); }

  mlir::ModuleOp operator*() const { return *module; }
  mlir::ModuleOp *operator->() { return module.operator->(); }

private:
  mlir::MLIRContext &context;
  std::shared_ptr<llvm::SourceMgr> sources;
  std::unique_ptr<mlir::SourceMgrDiagnosticHandler> diagnostics;
  std::unique_ptr<DiagnosticMerger> merger;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

} // namespace moe::tools

#endif // MOE_MLIR_TOOL_INPUTFILE_H
