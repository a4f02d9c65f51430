//===- RoutingParts.cpp - The tensors of a routing -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/RoutingParts.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace moek;

RoutingParts::RoutingParts(ValueRange all) {
  for (auto [part, value] : llvm::zip_equal(kRoutingParts, all))
    this->*part.value = value;
}

RoutingParts::RoutingParts(Value indices, Value weights, ValueRange lists)
    : indices(indices), weights(weights) {
  for (auto [part, value] : llvm::zip_equal(getRoutingLists(), lists))
    this->*part.value = value;
}

SmallVector<Value> RoutingParts::get() const {
  return llvm::map_to_vector(kRoutingParts, [&](const RoutingPart &part) {
    return this->*part.value;
  });
}

RankedTensorType RoutingPart::getType(MLIRContext *context, int64_t experts,
                                      int64_t slots) const {
  Type element = isInteger ? Type(IntegerType::get(context, 32))
                           : Type(Float32Type::get(context));
  switch (sizes) {
  case TokensBySlots:
    return RankedTensorType::get({ShapedType::kDynamic, slots}, element);
  case ExpertsPlusOne:
    return RankedTensorType::get({experts + 1}, element);
  case Assignments:
    return RankedTensorType::get({ShapedType::kDynamic}, element);
  }
  llvm_unreachable("all sizes are handled");
}
