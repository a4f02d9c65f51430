//===- Model.h - The IR that moe-run was given -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Parses model IR and compiles it into a temporary artifact.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_MODEL_H
#define MOE_TOOLS_MOERUN_MODEL_H

#include "moe-mlir/Pipelines/Pipelines.h"
#include "moe-mlir/Tool/InputFile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"

#include <string>
#include <vector>

namespace moe::run {

class Model {
public:
  /// With the dialects of plugins.
  explicit Model(const mlir::DialectRegistry &plugins);

  /// Errors are printed with their place in the file.
  bool parse(const tools::CommandLine &line, const std::string &path,
             bool allowBytecode);

  /// Makes routings results or arguments.
  llvm::LogicalResult applyRoutingOptions(const RoutingOptions &options);

  /// Compiles a copy to `base`.json and `base`.so, for emulators `base`.a,
  /// after `passes` unless that is empty.
  llvm::LogicalResult compile(const std::vector<std::string> &targets,
                              bool fuse, llvm::StringRef passes,
                              const std::string &base, bool isEmulated);

  /// The function of that name, null when there is none.
  mlir::func::FuncOp find(llvm::StringRef name);

private:
  mlir::MLIRContext context;
  tools::ModelFile module;
};

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_MODEL_H
