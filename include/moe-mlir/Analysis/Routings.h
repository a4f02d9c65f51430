//===- Routings.h - Which routing is that of a router ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_ROUTINGS_H
#define MOE_MLIR_ANALYSIS_ROUTINGS_H

#include "moe/Moe.h"

namespace moe {

/// What is recorded, replayed and profiled as the routing of a router: its
/// result, behind the limits and reweighings that have it to themselves.
mlir::Value getRoutingOf(RouterOp router);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_ROUTINGS_H
