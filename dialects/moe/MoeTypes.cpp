//===- MoeTypes.cpp - Types of the moe dialect -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Syntax and verifier of `!moe.routing`.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;
using namespace moe;

#define GET_TYPEDEF_CLASSES
#include "moe/MoeTypes.cpp.inc"

void MoeDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "moe/MoeTypes.cpp.inc"
      >();
}

Type RoutingType::parse(AsmParser &parser) {
  SmallVector<int64_t> sizes;
  if (parser.parseLess())
    return {};
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseDimensionList(sizes, /*allowDynamic=*/false,
                                /*withTrailingX=*/false))
    return {};
  if (sizes.size() != 2) {
    parser.emitError(loc) << "expected two sizes, experts x slots, as in "
                             "!moe.routing<128 x 8>, but got "
                          << sizes.size();
    return {};
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<RoutingType>(loc, parser.getContext(), sizes[0],
                                        sizes[1]);
}

void RoutingType::print(AsmPrinter &printer) const {
  printer << '<' << getExperts() << " x " << getSlots() << '>';
}

LogicalResult RoutingType::verify(function_ref<InFlightDiagnostic()> emitError,
                                  int64_t experts, int64_t slots) {
  // Lowered routings hold experts as i32.
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (experts < 1 || experts > most)
    return emitError() << "routing expects 1 to " << most
                       << " experts, but got " << experts;
  if (slots < 1 || slots > experts)
    return emitError() << "routing expects 1 to " << experts
                       << " slots, one for each expert at most, but got "
                       << slots;
  return success();
}
