//===- MoeOps.td - Ops of the moe dialect -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// All of them, by family; the code of each family is in ops/ and balance/.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_OPS_TD
#define MOE_OPS_TD

include "moe/MoeExternal.td"
include "moe/MoeFormats.td"
include "moe/MoeLayer.td"
include "moe/MoeRouting.td"
// Losses and health of a routing.
include "moe/MoeBalance.td"

#endif // MOE_OPS_TD
