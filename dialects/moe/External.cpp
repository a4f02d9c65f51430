//===- External.cpp - C functions that experts call -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What a declaration has to be, so that each part of the compiler can rely on it.
//
//===----------------------------------------------------------------------===//

#include "moe/Moe.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe;

LogicalResult ExternalAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   OnFailure, int64_t batch) {
  if (batch < 0)
    return emitError() << "`batch` is a number of rows, 0 for all; got "
                       << batch;
  return success();
}

ExternalAttr moe::getExternal(Operation *function) {
  return function->getAttrOfType<ExternalAttr>(
      MoeDialect::getExternalAttrName());
}

bool moe::isExternalRows(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.isDynamicDim(0) &&
         !tensor.isDynamicDim(1) && tensor.getDimSize(1) > 0 &&
         (tensor.getElementType().isF32() ||
          tensor.getElementType().isSignlessInteger(32) ||
          tensor.getElementType().isSignlessInteger(64));
}

/// Whether C and linkers take it as it is.
static bool isIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

LogicalResult moe::verifyExternal(Operation *op, Attribute attribute) {
  auto fail = [&] {
    return op->emitOpError() << "`" << MoeDialect::getExternalAttrName()
                             << "` ";
  };
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function || !function.isExternal())
    return fail() << "is an attribute of functions without a body";
  if (!isa<ExternalAttr>(attribute))
    return fail() << "has to be #moe.external<...>, not " << attribute;
  if (!isIdentifier(function.getName()))
    return fail() << "wants a name that C takes, not '" << function.getName()
                  << "'";
  ArrayRef<Type> arguments = function.getArgumentTypes();
  if (arguments.empty() || !isExternalRows(arguments.front()))
    return fail() << "wants rows as the first argument, a tensor<?xNxT> with T "
                     "one of f32, i32 and i64";
  bool hasWeights = false;
  for (Type type : arguments) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    bool isWeight = tensor && tensor.hasStaticShape() && tensor.getRank() > 0 &&
                    tensor.getElementType().isIntOrFloat();
    if (!isWeight && !isExternalRows(type))
      return fail() << "takes rows (tensor<?xNxT> with T one of f32, i32 and "
                       "i64) and weights (tensors of static shapes), not "
                    << type;
    if (hasWeights && !isWeight)
      return fail() << "wants rows in front of weights";
    hasWeights |= isWeight;
  }
  ArrayRef<Type> results = function.getResultTypes();
  if (results.size() != 1 || !isExternalRows(results.front()) ||
      !getElementTypeOrSelf(results.front()).isF32())
    return fail() << "wants one result, tensor<?xMxf32>";
  return success();
}
