//===- Torch.cpp - The torch dialect upstream --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What torch-mlir's importer writes, before (`raw`) and after (`torch`) its
// decompositions. Semantics: the operators of PyTorch that the ops are named
// after.
//
//===----------------------------------------------------------------------===//

#include "Torch.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Matchers.h"

#include "Onnx.h"

using namespace mlir;
using namespace moe::raise;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

/// `f32`, `si64`, `i1` and so on.
static Type parseElement(StringRef text, MLIRContext *context) {
  Builder b(context);
  return llvm::StringSwitch<Type>(text)
      .Case("f64", b.getF64Type())
      .Case("f32", b.getF32Type())
      .Case("f16", b.getF16Type())
      .Case("bf16", b.getBF16Type())
      .Case("si64", b.getI64Type())
      .Case("si32", b.getI32Type())
      .Case("si16", b.getI16Type())
      .Case("si8", b.getI8Type())
      .Case("i1", b.getI1Type())
      .Default(Type());
}

Type torch::convertType(Type type) {
  auto opaque = dyn_cast<OpaqueType>(type);
  if (!opaque || opaque.getDialectNamespace() != "torch")
    return {};
  StringRef text = opaque.getTypeData();
  if (!text.consume_front("vtensor<[") && !text.consume_front("tensor<["))
    return {};
  SmallVector<int64_t> shape;
  while (!text.consume_front("]")) {
    if (!shape.empty() && !text.consume_front(","))
      return {};
    text = text.ltrim();
    uint64_t size;
    if (text.consume_front("?"))
      shape.push_back(ShapedType::kDynamic);
    else if (!text.consumeInteger(10, size) && size <= INT64_MAX / 2)
      shape.push_back(size);
    else
      return {};
  }
  if (!text.consume_front(",") || !text.consume_back(">"))
    return {};
  Type element = parseElement(text.trim(), type.getContext());
  return element ? RankedTensorType::get(shape, element) : Type();
}

Type torch::getResultElement(ForeignOp &op, unsigned i) {
  Type type = convertType(op.getOperation()->getResult(i).getType());
  return type ? getElementTypeOrSelf(type) : Type();
}

Type torch::getElementType(Builder &b, int64_t dtype) {
  switch (dtype) {
  case 1:
    return b.getI8Type();
  case 2:
    return b.getI16Type();
  case 3:
    return b.getI32Type();
  case 4:
    return b.getI64Type();
  case 5:
    return b.getF16Type();
  case 6:
    return b.getF32Type();
  case 7:
    return b.getF64Type();
  case 11:
    return b.getI1Type();
  case 15:
    return b.getBF16Type();
  default:
    return {};
  }
}

Value torch::getTensor(ForeignOp &op, unsigned i) {
  if (i >= op.getNumOperands()) {
    (void)op.leave("it has no operand " + Twine(i));
    return {};
  }
  Value operand = op.getOperand(i);
  if (isa<RankedTensorType>(operand.getType()))
    return operand;
  std::string type;
  llvm::raw_string_ostream(type) << operand.getType();
  (void)op.leave("operand " + Twine(i) + " is a " + type +
                 ", whose shape or type of elements is not known");
  return {};
}

//===----------------------------------------------------------------------===//
// Values that are no tensors
//===----------------------------------------------------------------------===//

/// The op that makes a value if it has this name.
static Operation *findOp(Value value, StringRef name) {
  Operation *op = value ? value.getDefiningOp() : nullptr;
  return op && op->getName().getStringRef() == name ? op : nullptr;
}

bool torch::isNone(Value value) {
  return findOp(value, "torch.constant.none") != nullptr;
}

TypedAttr torch::getNumber(Value value) {
  for (StringRef name :
       {"torch.constant.int", "torch.constant.float", "torch.constant.bool"})
    if (Operation *op = findOp(value, name)) {
      auto number = dyn_cast_or_null<TypedAttr>(op->getAttr("value"));
      auto integer = dyn_cast_or_null<IntegerAttr>(number);
      if (integer ? integer.getValue().getBitWidth() <= 64
                  : isa_and_nonnull<FloatAttr>(number))
        return number;
    }
  return {};
}

std::optional<int64_t> torch::getInt(Value value) {
  auto integer = dyn_cast_or_null<IntegerAttr>(getNumber(value));
  if (integer && !integer.getType().isInteger(1))
    return integer.getValue().getSExtValue();
  IntegerAttr constant;
  if (value && value.getType().isIndex() &&
      matchPattern(value, m_Constant(&constant)))
    return constant.getInt();
  return std::nullopt;
}

std::optional<bool> torch::getBool(Value value) {
  if (auto integer = dyn_cast_or_null<IntegerAttr>(getNumber(value)))
    return !integer.getValue().isZero();
  return std::nullopt;
}

std::optional<StringRef> torch::getString(Value value) {
  if (Operation *op = findOp(value, "torch.constant.str"))
    if (auto text = dyn_cast_or_null<StringAttr>(op->getAttr("value")))
      return text.getValue();
  return std::nullopt;
}

std::optional<ValueRange> torch::getList(Value value) {
  if (Operation *op = findOp(value, "torch.prim.ListConstruct"))
    return ValueRange(op->getOperands());
  return std::nullopt;
}

std::optional<SmallVector<int64_t>> torch::getInts(Value value) {
  std::optional<ValueRange> list = getList(value);
  if (!list)
    return std::nullopt;
  SmallVector<int64_t> integers;
  for (Value element : *list) {
    std::optional<int64_t> integer = getInt(element);
    if (!integer)
      return std::nullopt;
    integers.push_back(*integer);
  }
  return integers;
}

std::optional<OpFoldResult> torch::getSize(Value value) {
  if (std::optional<int64_t> constant = getInt(value))
    return OpFoldResult(Builder(value.getContext()).getIndexAttr(*constant));
  if (value && value.getType().isIndex())
    return OpFoldResult(value);
  return std::nullopt;
}

std::optional<Sizes> torch::getSizes(Value value) {
  std::optional<ValueRange> list = getList(value);
  if (!list)
    return std::nullopt;
  Sizes sizes;
  for (Value element : *list) {
    std::optional<OpFoldResult> size = getSize(element);
    if (!size)
      return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

std::optional<int64_t> torch::getDim(ForeignOp &op, unsigned i, int64_t rank) {
  std::optional<int64_t> given;
  if (i < op.getNumOperands())
    given = getInt(op.getOperand(i));
  std::optional<int64_t> dim = given ? onnx::getAxis(*given, rank) : given;
  if (!dim)
    (void)op.leave("operand " + Twine(i) + " is no dimension of a tensor of " +
                   Twine(rank));
  return dim;
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

Value torch::makeConstant(Upstream &upstream, TypedAttr number, Type element) {
  Builder &b = upstream.getBuilder();
  TypedAttr value;
  auto integer = dyn_cast<IntegerAttr>(number);
  if (auto floatType = dyn_cast<FloatType>(element)) {
    bool isBool = integer && integer.getType().isInteger(1);
    double real = isBool    ? double(!integer.getValue().isZero())
                  : integer ? double(integer.getValue().getSExtValue())
                            : cast<FloatAttr>(number).getValueAsDouble();
    value = b.getFloatAttr(floatType, real);
  } else if (integer && element.isInteger(1)) {
    value = b.getIntegerAttr(element, !integer.getValue().isZero());
  } else if (integer) {
    bool isBool = integer.getType().isInteger(1);
    value =
        b.getIntegerAttr(element, isBool ? int64_t(!integer.getValue().isZero())
                                         : integer.getValue().getSExtValue());
  } else {
    double real = cast<FloatAttr>(number).getValueAsDouble();
    if (element.isInteger(1))
      value = b.getIntegerAttr(element, real != 0);
    else if (std::abs(real) <= 0x1p62)
      value = b.getIntegerAttr(element, static_cast<int64_t>(real));
    else
      return {};
  }
  auto type = RankedTensorType::get({}, element);
  return arith::ConstantOp::create(
      upstream.getBuilder(), upstream.getLoc(),
      DenseElementsAttr::get(type, ArrayRef<Attribute>(value)));
}

Value torch::castTo(Upstream &upstream, Value tensor, Type element) {
  if (Upstream::typeOf(tensor).getElementType() == element)
    return tensor;
  if (Upstream::typeOf(tensor).getRank() == 0)
    if (TypedAttr number = onnx::getSplat(tensor))
      if (Value constant = makeConstant(upstream, number, element))
        return constant;
  return upstream.cast(tensor, element);
}

static LogicalResult convertLiteral(ForeignOp &op) {
  auto value = dyn_cast_or_null<ElementsAttr>(op.getAttr("value"));
  if (!value)
    return op.leave("its value is no dense constant");
  Type element = value.getElementType();
  TypedAttr attr = value;
  if (element.isSignedInteger()) {
    auto dense = dyn_cast<DenseElementsAttr>(value);
    if (!dense)
      return op.leave("its value is no dense constant");
    attr = dense.bitcast(IntegerType::get(op.getOperation()->getContext(),
                                          element.getIntOrFloatBitWidth()));
  } else if (element.isUnsignedInteger()) {
    return op.leave("its elements are unsigned integers");
  }
  Value result =
      arith::ConstantOp::create(op.upstream.getBuilder(), op.getLoc(), attr);
  return op.replace(result);
}

/// What does nothing to tensors, such as checks and names of sizes.
static LogicalResult drop(ForeignOp &op) { return op.replace({}); }

/// torch_c.to_builtin_tensor and back: one type here.
static LogicalResult forward(ForeignOp &op) {
  Value tensor = torch::getTensor(op, 0);
  return tensor ? op.replace(tensor) : failure();
}

void moe::raise::addTorch(ForeignTable &table) {
  table.addDialect("torch");
  table.addDialect("torch_c");
  table.addType("torch", torch::convertType);
  for (StringRef name :
       {"torch.constant.int", "torch.constant.float", "torch.constant.bool",
        "torch.constant.none", "torch.constant.str", "torch.constant.device",
        "torch.prim.ListConstruct", "torch.symbolic_int"})
    table.addSource(name);
  for (StringRef name :
       {"torch.aten._assert_tensor_metadata", "torch.aten._assert_scalar",
        "torch.runtime.assert", "torch.bind_symbolic_shape"})
    table.add(name, drop);
  table.add("torch.vtensor.literal", convertLiteral);
  table.add("torch_c.to_builtin_tensor", forward);
  table.add("torch_c.from_builtin_tensor", forward);
  torch::addElementwise(table);
  torch::addShapes(table);
  torch::addNew(table);
  torch::addProducts(table);
  torch::addIndexing(table);
  torch::addExperts(table);
}
