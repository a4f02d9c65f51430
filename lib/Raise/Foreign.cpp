//===- Foreign.cpp - Ops of dialects that are not linked ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Raise/Foreign.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe::raise;

ForeignTable::ForeignTable() {
  addOnnx(*this);
  addStableHLO(*this);
  addTmTensor(*this);
  addTorch(*this);
}

Type ForeignTable::convertType(Type type) const {
  auto opaque = dyn_cast<OpaqueType>(type);
  if (!opaque)
    return {};
  TypeTranslation translate = types.lookup(opaque.getDialectNamespace());
  return translate ? translate(type) : Type();
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

std::optional<int64_t> ForeignOp::getInt(StringRef name) const {
  Attribute attr = getAttr(name);
  if (auto integer = dyn_cast_or_null<IntegerAttr>(attr))
    return integer.getValue().getBitWidth() == 1
               ? static_cast<int64_t>(integer.getValue().getBoolValue())
               : integer.getValue().getSExtValue();
  return std::nullopt;
}

std::optional<double> ForeignOp::getFloat(StringRef name) const {
  if (auto number = dyn_cast_or_null<FloatAttr>(getAttr(name)))
    return number.getValueAsDouble();
  return std::nullopt;
}

StringRef ForeignOp::getString(StringRef name) const {
  if (auto text = dyn_cast_or_null<StringAttr>(getAttr(name)))
    return text.getValue();
  return {};
}

std::optional<SmallVector<int64_t>> ForeignOp::getInts(StringRef name) const {
  Attribute attr = getAttr(name);
  SmallVector<int64_t> values;
  if (auto dense = dyn_cast_or_null<DenseI64ArrayAttr>(attr))
    return SmallVector<int64_t>(dense.asArrayRef());
  if (auto array = dyn_cast_or_null<ArrayAttr>(attr)) {
    for (Attribute element : array) {
      auto integer = dyn_cast<IntegerAttr>(element);
      if (!integer)
        return std::nullopt;
      values.push_back(integer.getInt());
    }
    return values;
  }
  auto elements = dyn_cast_or_null<DenseIntElementsAttr>(attr);
  if (!elements)
    return std::nullopt;
  for (const APInt &value : elements.getValues<APInt>())
    values.push_back(value.getSExtValue());
  return values;
}

/// What stands between the brackets of an attribute of a dialect that is not
/// linked.
static StringRef getText(Attribute attr) {
  if (auto opaque = dyn_cast_or_null<OpaqueAttr>(attr))
    return opaque.getAttrData();
  return {};
}

SmallVector<int64_t> ForeignOp::getField(StringRef attribute,
                                         StringRef name) const {
  SmallVector<int64_t> values;
  StringRef text = getText(getAttr(attribute));
  for (size_t at = text.find(name); at != StringRef::npos;
       at = text.find(name, at + 1)) {
    // A whole word.
    if (at && (llvm::isAlnum(text[at - 1]) || text[at - 1] == '_'))
      continue;
    StringRef rest = text.drop_front(at + name.size()).ltrim();
    if (!rest.consume_front("="))
      continue;
    rest = rest.ltrim();
    bool isList = rest.consume_front("[");
    do {
      int64_t value;
      rest = rest.ltrim(" ,");
      if (rest.consumeInteger(10, value))
        break;
      values.push_back(value);
    } while (isList);
    return values;
  }
  return values;
}

StringRef ForeignOp::getKeyword(StringRef attribute) const {
  StringRef text = getText(getAttr(attribute)).rtrim(">");
  return text.substr(text.find_last_of(" <") + 1);
}

//===----------------------------------------------------------------------===//
// What it becomes
//===----------------------------------------------------------------------===//

LogicalResult ForeignOp::replace(ValueRange values) {
  assert(values.size() == op->getNumResults() && "a value for each result");
  for (auto [result, value] : llvm::zip_equal(op->getResults(), values))
    result.replaceAllUsesWith(value);
  return success();
}

LogicalResult ForeignOp::leave(const Twine &why) {
  reason = why.str();
  return failure();
}

FailureOr<SmallVector<Value>>
ForeignOp::inlineScalars(Region &region, OpBuilder &b, ValueRange arguments) {
  if (!region.hasOneBlock() ||
      region.front().getNumArguments() != arguments.size())
    return failure();
  DenseMap<Value, Value> values;
  for (auto [from, to] :
       llvm::zip_equal(region.front().getArguments(), arguments))
    values[from] = to;
  for (Operation &inner : getBodyOps(region.front())) {
    ScalarTranslation translate =
        table.lookupScalar(inner.getName().getStringRef());
    SmallVector<Value> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(values.lookup(operand));
    if (!translate || llvm::is_contained(operands, Value()) ||
        inner.getNumResults() != 1)
      return failure();
    ForeignOp nested(&inner, upstream, table);
    Value result = translate(nested, b, operands);
    if (!result)
      return failure();
    values[inner.getResult(0)] = result;
  }
  SmallVector<Value> results;
  for (Value operand : region.front().back().getOperands()) {
    results.push_back(values.lookup(operand));
    if (!results.back())
      return failure();
  }
  return results;
}
