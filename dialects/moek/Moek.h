//===- Moek.h - The kernel-level dialect -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one header to include to use the `moek` dialect.
//
//===----------------------------------------------------------------------===//

#ifndef MOEK_MOEK_H
#define MOEK_MOEK_H

#include "moe/Moe.h"
#include "moek/RoutingParts.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "moek/MoekDialect.h.inc"
#include "moek/MoekEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moek/MoekAttrs.h.inc"

namespace moek::detail {
/// Inputs are read and inits written where they are memrefs.
void getDestinationEffects(
    mlir::DestinationStyleOpInterface op,
    llvm::SmallVectorImpl<
        mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>>
        &effects);
} // namespace moek::detail

#include "moek/MoekInterfaces.h.inc"

#define GET_OP_CLASSES
#include "moek/MoekOps.h.inc"

namespace moek {

/// The module attribute that holds the target (a `CpuAttr`).
inline constexpr llvm::StringLiteral kTargetAttrName = "moek.target";

/// Elements of a row of `k` elements padded for the kernels: whole cache lines,
/// an odd number of them, so that the rows of a tile fall into different sets
/// of the first-level cache.
int64_t getPaddedRowLength(int64_t k, mlir::Type element);

/// The most rows of a register tile that does not spill.
int64_t getMaxTileRows(Inner inner, int64_t lanes);

/// Lets one-shot bufferization place the ops of this dialect.
void registerBufferizableModels(mlir::DialectRegistry &registry);

} // namespace moek

#endif // MOEK_MOEK_H
