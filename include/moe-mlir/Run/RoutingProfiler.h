//===- RoutingProfiler.h - Routings for a profile -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What routers do, from the interpreter or from the results of a compiled
// function that records its routings.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_ROUTINGPROFILER_H
#define MOE_MLIR_RUN_ROUTINGPROFILER_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Reference/Interpreter.h"

#include "llvm/ADT/DenseMap.h"

namespace moe::run {

/// Sums up the routings of the routers of a function that is interpreted.
class RoutingProfiler : public reference::RouterHook {
public:
  explicit RoutingProfiler(mlir::func::FuncOp function);

  llvm::LogicalResult onDecision(mlir::Operation *, llvm::ArrayRef<double>,
                                 Decide, reference::Decision &) override {
    return llvm::success();
  }
  void onRouting(mlir::Value routing,
                 const reference::Decision &decision) override;

  std::vector<RoutingProfile> routings;
  /// The first thing that was wrong with one, which is then left out.
  std::string error;

private:
  llvm::DenseMap<mlir::Value, size_t> numbers;
};

/// Whether `function` returns its routings: docs/record-replay.md.
bool recordsRoutings(const FunctionDesc &function);

/// Adds what the results of a call of `function` say of its routings to
/// `profile`.
bool profileRecorded(const FunctionDesc &function,
                     const std::vector<HostTensor> &results, Profile &profile,
                     std::string &error);

} // namespace moe::run

#endif // MOE_MLIR_RUN_ROUTINGPROFILER_H
