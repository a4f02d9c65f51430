//===- Stages.h - The names of the stages -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What the module is after each step of the compilation.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_PIPELINES_STAGES_H
#define MOE_MLIR_PIPELINES_STAGES_H

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>
#include <vector>

namespace moe {

/// In order.
enum class Stage { Model, Fused, Planned, Bufferized, Vector, Runtime, LLVM };

llvm::StringRef stageName(Stage stage);
std::optional<Stage> parseStage(llvm::StringRef name);
/// All of them, in order.
std::vector<std::string> stageNames();

} // namespace moe

#endif // MOE_MLIR_PIPELINES_STAGES_H
