//===- Routings.cpp - Which routing is that of a router ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Analysis/Routings.h"

using namespace mlir;

Value moe::getRoutingOf(RouterOp router) {
  Value routing = router.getRouting();
  while (routing.hasOneUse()) {
    Operation *user = *routing.user_begin();
    if (!isa<RoutingLimitOp, RoutingReweighOp>(user))
      break;
    routing = user->getResult(0);
  }
  return routing;
}
