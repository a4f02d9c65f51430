//===- InitAll.h - Registers everything of the project ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Called by every tool, so that they all accept the same IR and passes. What
// belongs to upstream MLIR is registered by the tools that want it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_INITALL_H
#define MOE_MLIR_INITALL_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe {

/// Adds the targets of the project to the registry of targets.
void registerAllTargets();

/// Adds the targets, the dialects of the project and of its targets, and the interface implementations they
/// attach to each other and to upstream dialects, to `registry`.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Registers the passes and named pipelines of the project.
void registerAllPasses();

} // namespace moe

#endif // MOE_MLIR_INITALL_H
