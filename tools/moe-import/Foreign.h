//===- Foreign.h - Models that exporters wrote -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOEIMPORT_FOREIGN_H
#define MOE_TOOLS_MOEIMPORT_FOREIGN_H

#include "moe-mlir/Tool/CommandLine.h"

namespace moe::import {

/// Whether a file is a graph that an exporter wrote, .onnx or .mlir, not a
/// configuration or a checkpoint.
bool isGraph(llvm::StringRef path);

/// Writes such a graph as model IR, and weights that it has to a .safetensors
/// file beside it. Options of `others` are an error. The exit status of the
/// tool.
int importGraph(const tools::CommandLine &line,
                llvm::ArrayRef<llvm::cl::Option *> others,
                const std::string &path, const std::string &output);

} // namespace moe::import

#endif // MOE_TOOLS_MOEIMPORT_FOREIGN_H
