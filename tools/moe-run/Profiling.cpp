//===- Profiling.cpp - Profiles of calls -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Profiling.h"

#include "moe-mlir/Run/Activations.h"
#include "moe-mlir/Run/RoutingProfiler.h"

using namespace moe;

bool run::canProfile(const Call &call, mlir::func::FuncOp model,
                     std::string &error) {
  if (model || recordsRoutings(call.function()))
    return true;
  error = "--profile-out needs what the artifact was compiled from: "
          "--model=model.mlir; or routings among its results, of moe-compile "
          "--record-routing";
  return false;
}

bool run::profile(const Given &given, const Call &call,
                  mlir::func::FuncOp model, const FunctionInputs &inputs,
                  Profile &profile, std::string &error) {
  if (!model)
    return profileRecorded(call.function(), call.results(), profile, error);
  Progress progress("profiling", "experts");
  return profileActivations(model, call.function(), call.sizes(), inputs,
                            given.options.threads, progress.function(), profile,
                            error);
}

bool run::write(const Given &given, const Profile &profile, OutputSet &outputs,
                std::string &error) {
  std::string text;
  llvm::raw_string_ostream os(text);
  writeProfile(os, profile);
  return outputs.write(given.options.profile, text, error);
}
