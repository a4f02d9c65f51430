//===- CollapseCause.h - What made a router collapse -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The tokens of a call are routed again with one weight or bias of the router
// changed, until the load is spread: what had to be changed is the cause.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_RUN_COLLAPSECAUSE_H
#define MOE_MLIR_RUN_COLLAPSECAUSE_H

#include "moe-mlir/Report/RoutingReport.h"
#include "moe-mlir/Run/Call.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::run {

/// Says of the records from `first` on, which are of the routers of `model` in
/// their order, what made those collapse that have. A call that the model does
/// not fit, and routers within loops, are left alone.
void explainCollapses(RoutingReport &report, size_t first, const Call &call,
                      mlir::func::FuncOp model, const FunctionInputs &inputs);

} // namespace moe::run

#endif // MOE_MLIR_RUN_COLLAPSECAUSE_H
