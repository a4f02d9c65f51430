//===- Types.cpp - Types and attributes of models in MLIR ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Types.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe;
using namespace moe::onnx;

mlir::Type moe::onnx::getElementType(Builder &b, const ElementTypeInfo &type) {
  switch (type.type) {
  case ElementType::F32:
    return b.getF32Type();
  case ElementType::F64:
    return b.getF64Type();
  case ElementType::F16:
    return b.getF16Type();
  case ElementType::BF16:
    return b.getBF16Type();
  case ElementType::F8E4M3FN:
    return Float8E4M3FNType::get(b.getContext());
  case ElementType::Bool:
    return b.getI1Type();
  default:
    return b.getIntegerType(8 * type.bytes);
  }
}

mlir::Type moe::onnx::getType(Builder &b, const ValueInfo &value) {
  Type element = getElementType(b, *value.type);
  if (!value.hasShape)
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  for (const Dim &dim : value.shape)
    shape.push_back(dim.size < 0 ? ShapedType::kDynamic : dim.size);
  return RankedTensorType::get(shape, element);
}

/// What an operator means is not known here, but which type its results have
/// elements of: models without types of values are common.
mlir::Type moe::onnx::guessType(Builder &b, const Node &node, unsigned index,
                                ValueRange operands) {
  auto ofOperand = [&](unsigned i) -> Type {
    if (i >= operands.size())
      return b.getF32Type();
    auto tensor = dyn_cast<TensorType>(operands[i].getType());
    return tensor ? tensor.getElementType() : b.getF32Type();
  };
  StringRef op = node.op;
  bool isSecond = index == 1;
  Type element = ofOperand(0);
  if (op == "Shape" || op == "Size" || op == "NonZero" || op == "ArgMax" ||
      op == "ArgMin" || (op == "TopK" && isSecond))
    element = b.getI64Type();
  else if (op == "Equal" || op == "Less" || op == "LessOrEqual" ||
           op == "Greater" || op == "GreaterOrEqual" || op == "IsNaN" ||
           op == "IsInf")
    element = b.getI1Type();
  else if (op == "Where")
    element = ofOperand(1);
  else if (op == "OneHot")
    element = ofOperand(2);
  else if (op == "ConstantOfShape")
    element = b.getF32Type();
  for (const NodeAttribute &attribute : node.attributes) {
    if (op == "Cast" && attribute.name == "to")
      if (const ElementTypeInfo *type = findElementType(attribute.integer))
        element = getElementType(b, *type);
    if (op == "ConstantOfShape" && attribute.tensor)
      element = getElementType(b, *attribute.tensor->type);
  }
  return UnrankedTensorType::get(element);
}

DenseElementsAttr moe::onnx::getElements(Builder &b, const Tensor &tensor) {
  auto type =
      RankedTensorType::get(tensor.shape, getElementType(b, *tensor.type));
  if (tensor.type->type != ElementType::Bool)
    return DenseElementsAttr::getFromRawBuffer(
        type, ArrayRef(tensor.bytes.data(), tensor.bytes.size()));
  SmallVector<bool> bits;
  for (char byte : tensor.bytes)
    bits.push_back(byte != 0);
  return DenseElementsAttr::get(type, bits);
}

Attribute moe::onnx::getAttribute(Builder &b, const NodeAttribute &attribute,
                                  std::string &problem) {
  auto refuse = [&](const Twine &what) -> Attribute {
    problem = ("attribute '" + attribute.name + "' " + what).str();
    return {};
  };
  StringRef name = attribute.name;
  if (name.empty() || llvm::isDigit(name[0]) ||
      !llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || c == '_'; }))
    return refuse("is no name of letters, digits and '_'");
  if (!attribute.reference.empty())
    return refuse("refers to one of a function, and there is none around");
  switch (attribute.kind) {
  case NodeAttribute::Float:
    return b.getF32FloatAttr(attribute.number);
  case NodeAttribute::Int:
    return b.getI64IntegerAttr(attribute.integer);
  case NodeAttribute::String:
    return b.getStringAttr(attribute.text);
  case NodeAttribute::TensorValue:
    if (!attribute.tensor)
      return refuse("has no tensor");
    return getElements(b, *attribute.tensor);
  case NodeAttribute::Floats:
    return b.getDenseF32ArrayAttr(attribute.floats);
  case NodeAttribute::Ints:
    return b.getDenseI64ArrayAttr(attribute.integers);
  case NodeAttribute::Strings: {
    SmallVector<StringRef> strings(attribute.strings.begin(),
                                   attribute.strings.end());
    return b.getStrArrayAttr(strings);
  }
  case NodeAttribute::Graph:
    return refuse("is a graph, which is not supported; export the model "
                  "without branches and loops");
  default:
    return refuse("is of kind " + Twine(attribute.kind) +
                  ", which is not supported");
  }
}
