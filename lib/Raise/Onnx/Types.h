//===- Types.h - Types and attributes of models in MLIR --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Onnx.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_ONNX_TYPES_H
#define MOE_LIB_RAISE_ONNX_TYPES_H

#include "Model.h"

#include "mlir/IR/Builders.h"

namespace moe::onnx {

/// Integers lose their signs.
mlir::Type getElementType(mlir::Builder &b, const ElementTypeInfo &type);

/// The type that the model says a tensor has; unranked if it has no shape.
mlir::Type getType(mlir::Builder &b, const ValueInfo &value);

/// That of result `index` of a node of which the model does not say it.
mlir::Type guessType(mlir::Builder &b, const Node &node, unsigned index,
                     mlir::ValueRange operands);

mlir::DenseElementsAttr getElements(mlir::Builder &b, const Tensor &tensor);

/// Null, with what is wrong in `problem`, if there is no such attribute here.
mlir::Attribute getAttribute(mlir::Builder &b, const NodeAttribute &attribute,
                             std::string &problem);

} // namespace moe::onnx

#endif // MOE_LIB_RAISE_ONNX_TYPES_H
