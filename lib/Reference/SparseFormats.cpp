//===- SparseFormats.cpp - Formats that store no zeros ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// As Formats.cpp; and what is wrong with bits that stand for nothing.
//
//===----------------------------------------------------------------------===//

#include "moe/SparseFormats.h"
#include "Models.h"
#include "moe-mlir/Reference/FormatDecoder.h"
#include "moe-mlir/Support/FloatConversions.h"

#include <cstring>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

/// Number `index` of those of type `type`.
static float numberAt(Type type, const uint8_t *at, int64_t index) {
  float value;
  uint16_t bits;
  if (type.isF32()) {
    std::memcpy(&value, at + 4 * index, sizeof(value));
    return value;
  }
  std::memcpy(&bits, at + 2 * index, sizeof(bits));
  return type.isBF16() ? bf16ToF32(bits) : f16ToF32(bits);
}

static int32_t intAt(const uint8_t *at, int64_t index) {
  int32_t value;
  std::memcpy(&value, at + 4 * index, sizeof(value));
  return value;
}

namespace {
struct Sparse24Model
    : ReferenceFormatAttrInterface::ExternalModel<Sparse24Model,
                                                  Sparse24FormatAttr> {
  void decodeRow(Attribute attribute, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) const {
    Type type = cast<Sparse24FormatAttr>(attribute).getValues();
    std::fill(values.begin(), values.end(), 0.0f);
    for (size_t four = 0; four < values.size() / 4; ++four) {
      int places = storage[1].row(row)[four / 2] >> 4 * (four % 2);
      for (int i = 0; i < 2; ++i)
        values[4 * four + (places >> 2 * i & 3)] =
            numberAt(type, storage[0].row(row), 2 * four + i);
    }
  }
};

struct SparseBlocksModel
    : ReferenceFormatAttrInterface::ExternalModel<SparseBlocksModel,
                                                  SparseBlocksFormatAttr> {
  void decodeRow(Attribute attribute, ArrayRef<StoredRows> storage, int64_t row,
                 MutableArrayRef<float> values) const {
    auto format = cast<SparseBlocksFormatAttr>(attribute);
    int64_t columns = format.getColumns();
    const uint8_t *list = storage[1].row(row / SparseBlocksFormatAttr::kRows);
    std::fill(values.begin(), values.end(), 0.0f);
    for (int64_t i = 0; i < format.getKept() * columns; ++i)
      values[intAt(list, i / columns) * columns + i % columns] =
          numberAt(format.getValues(), storage[0].row(row), i);
  }
};
} // namespace

void attachSparseFormatModels(MLIRContext *context) {
  Sparse24FormatAttr::attachInterface<Sparse24Model>(*context);
  SparseBlocksFormatAttr::attachInterface<SparseBlocksModel>(*context);
}

/// What is wrong with block `block` of field `field`, whose bytes are at
/// `from`.
static std::string findBadBits(const BlockField &field, FieldBits bits,
                               int64_t block, int64_t size,
                               const uint8_t *from) {
  std::string text;
  raw_string_ostream os(text);
  if (bits.kind == FieldBits::Places)
    for (int64_t i = 0; i < 2 * field.getBytes(); ++i) {
      int places = from[i / 2] >> 4 * (i % 2) & 15;
      int64_t k = block * size + 4 * i;
      if (places % 4 >= places / 4) {
        os << "columns " << k << " to " << k + 3 << " have the places "
           << places % 4 << " and " << places / 4 << ", which do not ascend";
        return text;
      }
    }
  if (bits.kind == FieldBits::Ascending)
    for (int64_t i = 0, last = -1; i < field.count; ++i) {
      int64_t number = intAt(from, i);
      if (number <= last || number >= bits.limit) {
        os << "entry " << i << " of the list is " << number
           << ", expected more than " << last << " and less than "
           << bits.limit;
        return text;
      }
      last = number;
    }
  return text;
}

std::string findBadBits(WeightFormatAttrInterface format, int64_t k,
                        ArrayRef<StoredRows> storage, int64_t row) {
  if (!isa<CheckedFormatAttrInterface>(Attribute(format)))
    return {};
  SmallVector<StorageTensor> tensors = format.getStorage(k);
  int64_t size = format.getBlockSize(k);
  for (auto [i, field] : llvm::enumerate(format.getFields(k))) {
    FieldBits bits = getFieldBits(format, k, i);
    if (bits.kind == FieldBits::Any)
      continue;
    const StorageTensor &tensor = tensors[field.storage];
    const uint8_t *line = storage[field.storage].row(row / tensor.rows);
    for (int64_t block = 0; block < k / size; ++block)
      if (std::string bad =
              findBadBits(field, bits, block, size,
                          line + block * tensor.getBytes() + field.offset);
          !bad.empty())
        return "row " + std::to_string(row) + " of '" + tensor.name.str() +
               "': " + bad;
  }
  return {};
}

} // namespace moe::reference
