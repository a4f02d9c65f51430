//===- Rounding.cpp - Random rounding errors --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Rounding.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;

namespace moe::reference {

NumberFormat NumberFormat::get(Type type) {
  auto floats = dyn_cast<FloatType>(getElementTypeOrSelf(type));
  if (!floats)
    return {};
  const llvm::fltSemantics &semantics = floats.getFloatSemantics();
  unsigned digits = llvm::APFloat::semanticsPrecision(semantics);
  int exponent = llvm::APFloat::semanticsMinExponent(semantics);
  // The interpreter has no more digits than a double itself.
  digits = std::min(digits, 53u);
  return {std::ldexp(1.0, -static_cast<int>(digits)),
          std::ldexp(1.0, std::max(exponent, -1022)), digits};
}

RoundingErrors::RoundingErrors(const std::optional<RoundingModel> &model) {
  if (!model)
    return;
  on = true;
  narrows = model->narrowsRows;
  rowType = model->activations;
  // Streams of different seeds do not meet within any call.
  next = mix(model->seed);
}

} // namespace moe::reference
