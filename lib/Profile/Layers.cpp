//===- Layers.cpp - The layers that a profile saw ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Layers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace moe;

LogicalResult moe::forEachRouter(
    ModuleOp module, StringRef pass, const std::string &path,
    function_ref<LogicalResult(RouterOp, const RoutingProfile &)> visit) {
  Profile seen;
  std::string error;
  if (path.empty())
    error = (pass + " needs a profile, as moe-run --profile-out writes it: "
                    "profile=FILE")
                .str();
  if (!error.empty() || !readProfile(path, seen, error))
    return emitError(module.getLoc()) << error;
  for (auto function : module.getOps<func::FuncOp>()) {
    SmallVector<RouterOp> routers;
    function.walk([&](RouterOp router) { routers.push_back(router); });
    for (auto [i, router] : llvm::enumerate(routers)) {
      const RoutingProfile *routing =
          seen.findRouting(function.getSymName().str(), i,
                           router.getNumExperts(), router.getNumSlots(), error);
      if (!routing)
        return emitError(router.getLoc()) << error;
      if (failed(visit(router, *routing)))
        return failure();
    }
  }
  return success();
}

void moe::forEachLayer(Value routing, function_ref<void(ExpertOp)> visit) {
  for (Operation *user : routing.getUsers()) {
    if (auto op = dyn_cast<ExpertOp>(user))
      visit(op);
    else if (isa<RoutingLimitOp, RoutingReweighOp, RoutingAppendOp>(user))
      forEachLayer(user->getResult(0), visit);
  }
}
