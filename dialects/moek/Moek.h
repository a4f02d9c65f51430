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
#include "moek/MoekAttrInterfaces.h.inc"

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

/// The module attribute that holds the chip (a `TargetAttrInterface`).
inline constexpr llvm::StringLiteral kTargetAttrName = "moek.target";

/// The chip that `module` is for; null if it does not say.
inline TargetAttrInterface getTarget(mlir::Operation *module) {
  return module->getAttrOfType<TargetAttrInterface>(kTargetAttrName);
}

/// The module attribute that says how rows are rounded where they multiply weights
/// in a format, on chips that have such products: a string, one of
/// moe::getRowTypes().
inline constexpr llvm::StringLiteral kActivationsAttrName = "moek.activations";

/// What `module` says there; "f32" if nothing.
inline llvm::StringRef getActivations(mlir::Operation *module) {
  auto kind = module->getAttrOfType<mlir::StringAttr>(kActivationsAttrName);
  return kind ? kind.getValue() : llvm::StringRef("f32");
}

/// Lets one-shot bufferization place the ops of this dialect.
void registerBufferizableModels(mlir::DialectRegistry &registry);

} // namespace moek

#endif // MOEK_MOEK_H
