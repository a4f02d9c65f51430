//===- MoeCore.td - What Moe.h declares -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// All ops, by family, and the attributes and types that they have; the code of each
// family is in ops/ and balance/.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_CORE_TD
#define MOE_CORE_TD

include "moe/MoeExternal.td"
include "moe/MoeFormats.td"
include "moe/MoeLayer.td"
include "moe/MoeRouting.td"
// Losses and health of a routing.
include "moe/MoeBalance.td"

#endif // MOE_CORE_TD
