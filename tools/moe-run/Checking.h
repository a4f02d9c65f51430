//===- Checking.h - Whether results are right -------------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOERUN_CHECKING_H
#define MOE_TOOLS_MOERUN_CHECKING_H

#include "Load.h"
#include "Options.h"

#include "moe-mlir/Run/Call.h"
#include "moe-mlir/Run/Replay.h"

namespace moe::run {

/// A call that was made, and what it was made with.
struct Checked {
  const Given &given;
  const Loaded &loaded;
  const std::string &entry;
  const Call &call;
  mlir::func::FuncOp model;
  const FunctionInputs &inputs;
  const RoutingTrace &routings;
};

/// Compares with the interpreter and, if it was asked for, with the code of
/// another generator, and prints what was found. An error means that it could
/// not.
bool check(const Checked &checked, bool &passed, std::string &error);

} // namespace moe::run

#endif // MOE_TOOLS_MOERUN_CHECKING_H
