//===- Layers.h - The layers that a profile saw -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_PROFILE_LAYERS_H
#define MOE_MLIR_LIB_PROFILE_LAYERS_H

#include "moe-mlir/Artifact/Profile.h"
#include "moe/Moe.h"

#include "mlir/IR/BuiltinOps.h"

namespace moe {

/// Reads the profile `path` for `pass`, and calls `visit` with each router of
/// the functions of `module` and with what the profile saw of it. Fails with an
/// error: no path, no such file, or one of another model.
llvm::LogicalResult forEachRouter(
    mlir::ModuleOp module, llvm::StringRef pass, const std::string &path,
    llvm::function_ref<llvm::LogicalResult(RouterOp, const RoutingProfile &)>
        visit);

/// Calls `visit` with the experts that `routing` goes to.
void forEachLayer(mlir::Value routing,
                  llvm::function_ref<void(ExpertOp)> visit);

} // namespace moe

#endif // MOE_MLIR_LIB_PROFILE_LAYERS_H
