//===- MoekOps.td - All operations of the kernel-level dialect -*- tablegen -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOEK_OPS_TD
#define MOEK_OPS_TD

include "moek/MoekMatmul.td"
include "moek/MoekRouting.td"
include "moek/MoekRows.td"

#endif // MOEK_OPS_TD
