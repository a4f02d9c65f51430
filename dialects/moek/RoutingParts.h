//===- RoutingParts.h - The tensors of a routing -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one place that names the seven tensors of a routing and knows their order
// and their shapes. What they hold is in the dialect's description.
//
//===----------------------------------------------------------------------===//

#ifndef MOEK_ROUTINGPARTS_H
#define MOEK_ROUTINGPARTS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"
#include "mlir/IR/ValueRange.h"

namespace moek {

/// The routing of T tokens over E experts with K slots, as values: tensors, or
/// memrefs of the same shapes.
struct RoutingParts {
  mlir::Value indices, weights, offsets, active, tokens, positions, rowWeights;

  RoutingParts() = default;
  /// From all seven, in the order of `kRoutingParts`.
  explicit RoutingParts(mlir::ValueRange all);
  /// From what was chosen and the five that are made of it.
  RoutingParts(mlir::Value indices, mlir::Value weights,
               mlir::ValueRange lists);

  /// All seven in order.
  llvm::SmallVector<mlir::Value> get() const;
};

/// One of the seven.
struct RoutingPart {
  enum Sizes { TokensBySlots, ExpertsPlusOne, Assignments };

  llvm::StringLiteral name;
  mlir::Value RoutingParts::*value;
  Sizes sizes;
  /// i32, or f32.
  bool isInteger;

  mlir::RankedTensorType getType(mlir::MLIRContext *context, int64_t experts,
                                 int64_t slots) const;
};

inline constexpr RoutingPart kRoutingParts[] = {
    {"indices", &RoutingParts::indices, RoutingPart::TokensBySlots, true},
    {"weights", &RoutingParts::weights, RoutingPart::TokensBySlots, false},
    {"offsets", &RoutingParts::offsets, RoutingPart::ExpertsPlusOne, true},
    {"active", &RoutingParts::active, RoutingPart::ExpertsPlusOne, true},
    {"tokens", &RoutingParts::tokens, RoutingPart::Assignments, true},
    {"positions", &RoutingParts::positions, RoutingPart::TokensBySlots, true},
    {"row_weights", &RoutingParts::rowWeights, RoutingPart::Assignments, false},
};

/// The parts that are made of indices and weights.
inline llvm::ArrayRef<RoutingPart> getRoutingLists() {
  return llvm::ArrayRef(kRoutingParts).drop_front(2);
}

} // namespace moek

#endif // MOEK_ROUTINGPARTS_H
