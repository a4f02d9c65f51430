//===- BlockPanels.cpp - Weights as they are stored, in panels -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moek/BlockPanels.h"
#include "moe/SparseFormats.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moek;

LogicalResult BlockPanels::verify(function_ref<InFlightDiagnostic()> emitError,
                                  RankedTensorType logical) const {
  if (!logical.getElementType().isF32())
    return emitError() << "blocks of " << format << " are values of f32, not "
                       << logical.getElementType();
  return format.verifyFormat(emitError, logical.getDimSize(3));
}

/// The order of fields in a panel: shorter ones, such as scales, are needed
/// first, and what is read by ascending addresses a CPU has fetched before.
static SmallVector<int64_t> getOrder(ArrayRef<moe::BlockField> fields) {
  auto order = llvm::to_vector(llvm::seq<int64_t>(0, fields.size()));
  llvm::stable_sort(order, [&](int64_t a, int64_t b) {
    return fields[a].getBytes() < fields[b].getBytes();
  });
  return order;
}

int64_t BlockPanels::getFieldOffset(int64_t k, int64_t field) const {
  SmallVector<moe::BlockField> fields = format.getFields(k);
  int64_t offset = 0;
  for (int64_t before : getOrder(fields)) {
    if (before == field)
      break;
    offset += fields[before].getBytes() * columns;
  }
  return offset;
}

int64_t BlockPanels::getBlockBytes(int64_t k) const {
  int64_t bytes = 0;
  for (const moe::BlockField &field : format.getFields(k))
    bytes += field.getBytes() * columns;
  return bytes;
}

int64_t BlockPanels::getNumPanels(int64_t parts, int64_t n) const {
  int64_t ofPart = llvm::divideCeilSigned(n, getColumnsOfPart(parts));
  return interleaved ? ofPart : parts * ofPart;
}

RankedTensorType BlockPanels::getPackedType(RankedTensorType logical) const {
  ArrayRef<int64_t> shape = logical.getShape();
  return RankedTensorType::get({shape[0], getNumPanels(shape[1], shape[2]),
                                shape[3] / format.getBlockSize(shape[3]),
                                getBlockBytes(shape[3])},
                               IntegerType::get(logical.getContext(), 8));
}

DictionaryAttr BlockPanels::getPacking(RankedTensorType logical) const {
  int64_t parts = logical.getDimSize(1), n = logical.getDimSize(2),
          k = logical.getDimSize(3);
  Builder b(logical.getContext());
  auto integer = [&](StringRef key, int64_t value) {
    return b.getNamedAttr(key, b.getI64IntegerAttr(value));
  };
  SmallVector<Attribute> fields, storage;
  SmallVector<moe::BlockField> logicalFields = format.getFields(k);
  for (int64_t index : getOrder(logicalFields)) {
    const moe::BlockField &field = logicalFields[index];
    SmallVector<NamedAttribute> entry = {
        integer("storage", field.storage), integer("offset", field.offset),
        integer("bytes", field.getBytes()),
        integer("unit", field.isWords() ? 4 : field.getBytes() / field.count)};
    auto type = [&](StringRef key, Type element) {
      std::string name;
      llvm::raw_string_ostream(name) << element;
      return b.getNamedAttr(key, b.getStringAttr(name));
    };
    // What is not finite is refused.
    if (isa<FloatType>(field.getStored()))
      entry.push_back(type("float", field.getStored()));
    moe::FieldBits bits = moe::getFieldBits(format, k, index);
    if (bits.kind == moe::FieldBits::Places)
      entry.push_back(b.getNamedAttr("bits", b.getStringAttr("places")));
    if (bits.kind == moe::FieldBits::Ascending) {
      entry.push_back(b.getNamedAttr("bits", b.getStringAttr("ascending")));
      entry.push_back(integer("limit", bits.limit));
    }
    // For who makes weights up.
    if (std::optional<moe::MadeUpRange> range =
            moe::getMadeUpRange(format, field, k))
      entry.push_back(b.getNamedAttr(
          "range",
          b.getDictionaryAttr(
              {type("dtype", field.getStored()),
               b.getNamedAttr("center", b.getF64FloatAttr(range->center)),
               b.getNamedAttr("spread", b.getF64FloatAttr(range->spread)),
               integer("has_size", range->hasSize)})));
    fields.push_back(b.getDictionaryAttr(entry));
  }
  for (const moe::StorageTensor &tensor : format.getStorage(k))
    storage.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", b.getStringAttr(tensor.name)),
         integer("bytes", tensor.getBytes()), integer("rows", tensor.rows),
         integer("blocks", tensor.blocks)}));
  SmallVector<NamedAttribute> packing = {
      b.getNamedAttr("layout", b.getStringAttr("blocks")),
      integer("columns", columns),
      integer("interleave",
              interleaved && parts > 1 ? getColumnsOfPart(parts) : 0),
      integer("block", format.getBlockSize(k)),
      integer("k_padded", k),
      integer("n_padded", getNumPanels(parts, n) * columns),
      b.getNamedAttr("fields", b.getArrayAttr(fields)),
      b.getNamedAttr("storage", b.getArrayAttr(storage))};
  if (!interleaved && parts > 1)
    packing.push_back(integer("parts", parts));
  return b.getDictionaryAttr(packing);
}
