//===- Diagnostics.h - Equal messages become one ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Models have many equal layers, and what is said of one is said of all.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TOOL_DIAGNOSTICS_H
#define MOE_MLIR_TOOL_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace moe::tools {

/// Makes one of messages of the same severity and text, with their number and
/// the functions that they are about: "... (48 times: layer_0 .. layer_47)".
/// Remarks and warnings wait for flush(); an error is handed on at once, and
/// its repetitions are counted.
class DiagnosticMerger {
public:
  explicit DiagnosticMerger(mlir::MLIRContext &context);
  DiagnosticMerger(const DiagnosticMerger &) = delete;
  ~DiagnosticMerger();

  /// Tells which functions there are in `op`, which may be one.
  void addFunctions(mlir::Operation *op);

  /// Hands on what waits.
  void flush();

private:
  struct Group;
  /// A file and a line.
  using Place = std::pair<std::string, unsigned>;

  llvm::LogicalResult handle(mlir::Diagnostic &diagnostic);
  void handOn(mlir::Diagnostic &&diagnostic);
  std::string describe(const Group &group) const;
  void flushLocked();

  mlir::MLIRContext &context;
  mlir::DiagnosticEngine::HandlerID handler;
  std::recursive_mutex mutex;
  bool isHandingOn = false;
  std::vector<std::unique_ptr<Group>> groups;
  std::map<std::string, Group *> byText;
  std::map<Place, std::string> functions;
};

} // namespace moe::tools

#endif // MOE_MLIR_TOOL_DIAGNOSTICS_H
