//===- Profiling.h - Profiles of calls ---------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_PROFILING_H
#define MOE_TOOLS_MOERUN_PROFILING_H

#include "Options.h"

#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Run/Call.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

/// Whether there is a model to interpret, or a result that tells of routings;
/// else an error.
bool canProfile(const Call &call, mlir::func::FuncOp model, std::string &error);

/// Adds to `profile`: by the interpreter if there is a model, else what the
/// call returned.
bool profile(const Given &given, const Call &call, mlir::func::FuncOp model,
             const FunctionInputs &inputs, Profile &profile,
             std::string &error);

/// Writes --profile-out.
bool write(const Given &given, const Profile &profile, OutputSet &outputs,
           std::string &error);

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_PROFILING_H
