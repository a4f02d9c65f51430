//===- RoutingCollector.h - Routings for a report --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What --routing-report takes from the trace hook, and from the model where
// there is one: which policy chose, and whether it fills all slots.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_ROUTINGCOLLECTOR_H
#define MOE_MLIR_RUN_ROUTINGCOLLECTOR_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Report/RoutingReport.h"
#include "moe-mlir/Runtime/moe_rt.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

class RoutingCollector {
public:
  RoutingReport report;

  /// Routings recorded from now on are of this function; `model` may be null.
  void begin(const FunctionDesc &function, mlir::func::FuncOp model);

  /// A MOE_TRACE_ROUTING event.
  void record(const moe_trace_event &event);

  /// Adds what was recorded since begin() to the report.
  void end();

private:
  struct Event {
    int64_t tokens, experts, slots;
    std::vector<int32_t> indices;
    /// Empty if the layer does not tell them.
    std::vector<float> weights;
  };

  const FunctionDesc *function = nullptr;
  mlir::func::FuncOp model;
  std::vector<Event> events;
};

} // namespace moe::run

#endif // MOE_MLIR_RUN_ROUTINGCOLLECTOR_H
