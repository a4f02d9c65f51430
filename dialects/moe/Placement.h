//===- Placement.h - An order of experts in memory ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A discardable attribute of `moe.expert`: an order in which weights of its
// experts could lie in a file, or on devices. What is computed does not depend
// on it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_PLACEMENT_H
#define MOE_DIALECT_PLACEMENT_H

#include "llvm/ADT/StringRef.h"

namespace moe {

/// `array<i64: ...>`: entry i is the expert in place i; each of them once.
inline constexpr llvm::StringLiteral kPlacementAttrName = "moe.placement";

} // namespace moe

#endif // MOE_DIALECT_PLACEMENT_H
