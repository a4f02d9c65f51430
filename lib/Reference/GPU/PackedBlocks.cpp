//===- PackedBlocks.cpp - Weights in blocks, as kernels read them -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A block at a time: its bytes are collected from the tensors that store it,
// number by number where these have an order of their own.
//
//===----------------------------------------------------------------------===//

#include "PackedBlocks.h"

#include "mlir/IR/BuiltinTypes.h"
#include <array>
#include <cstring>

using namespace mlir;
using namespace moe;

namespace {
int64_t getInt(DictionaryAttr of, StringRef key, int64_t otherwise = 0) {
  auto value = of ? of.getAs<IntegerAttr>(key) : IntegerAttr();
  return value ? value.getInt() : otherwise;
}

SmallVector<int64_t> getInts(Attribute list) {
  SmallVector<int64_t> values;
  if (auto array = dyn_cast_or_null<ArrayAttr>(list))
    for (auto value : array.getAsRange<IntegerAttr>())
      values.push_back(value.getInt());
  return values;
}

SmallVector<DictionaryAttr> getEntries(DictionaryAttr of, StringRef key) {
  SmallVector<DictionaryAttr> entries;
  if (auto array = of.getAs<ArrayAttr>(key))
    llvm::append_range(entries, array.getAsRange<DictionaryAttr>());
  return entries;
}

/// One of the tensors that a source is stored in, of matrices [n, blocks].
struct Storage {
  const HostTensor &tensor;
  DictionaryAttr order;
  int64_t n, blocks;
  /// Of a block; and rows and blocks that share them.
  int64_t bytes, rows, shared;

  /// The bytes of a block; none if they are not there.
  std::vector<uint8_t> read(int64_t matrix, int64_t row, int64_t block) const {
    const auto *data = reinterpret_cast<const uint8_t *>(tensor.dataAs<char>());
    int64_t available = tensor.numElements() * int64_t(dtypeSize(tensor.dtype));
    if (order)
      return readNumbers(data, available, matrix, row, block);
    auto up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    int64_t ofRow = shared ? up(blocks, shared) : 1;
    int64_t at = ((matrix * up(n, rows) + row / rows) * ofRow +
                  (shared ? block / shared : 0)) *
                 bytes;
    if (at < 0 || at + bytes > available)
      return {};
    return {data + at, data + at + bytes};
  }

private:
  static int64_t sumDigits(DictionaryAttr order, StringRef key, int64_t index) {
    int64_t sum = 0;
    if (auto list = order.getAs<ArrayAttr>(key))
      for (Attribute digit : list) {
        SmallVector<int64_t> own = getInts(digit);
        sum += index / own[0] % own[1] * own[2];
      }
    return sum;
  }

  std::vector<uint8_t> readNumbers(const uint8_t *data, int64_t available,
                                   int64_t matrix, int64_t row,
                                   int64_t block) const {
    int64_t bits = getInt(order, "bits"), width = getInt(order, "width");
    int64_t ofBlock = bytes * 8 / width;
    std::vector<uint8_t> result(bytes, 0);
    for (int64_t i = 0; i < ofBlock; ++i) {
      int64_t number = matrix * n * blocks * ofBlock + getInt(order, "first") +
                       sumDigits(order, "rows", row) +
                       sumDigits(order, "places", block * ofBlock + i);
      for (int64_t bit = 0; bit < bits; ++bit) {
        int64_t from = number * bits + bit, to = i * width + bit;
        if (from < 0 || from / 8 >= available)
          return {};
        result[to / 8] |= (data[from / 8] >> (from % 8) & 1) << (to % 8);
      }
    }
    return result;
  }
};
} // namespace

std::string reference::simt::packBlocks(DictionaryAttr packed,
                                        const llvm::StringMap<HostTensor> &all,
                                        HostTensor &to) {
  SmallVector<DictionaryAttr> fields = getEntries(packed, "fields"),
                              tensors = getEntries(packed, "storage");
  int64_t columns = getInt(packed, "columns"), block = getInt(packed, "block");
  int64_t rows = getInt(packed, "n_padded"), depth = getInt(packed, "k_padded");
  if (columns < 1 || block < 1 || rows % columns || depth % block)
    return "has panels that are not whole";
  if (getInt(packed, "interleave"))
    return "has panels of both parts";
  int64_t ofBlock = 0;
  for (DictionaryAttr field : fields)
    ofBlock += getInt(field, "bytes") * columns;
  int64_t available = to.numElements() * int64_t(dtypeSize(to.dtype));

  for (DictionaryAttr source : getEntries(packed, "sources")) {
    SmallVector<int64_t> shape = getInts(source.get("shape"));
    if (shape.size() == 2)
      shape.insert(shape.begin(), 1);
    SmallVector<DictionaryAttr> stored = getEntries(source, "storage");
    if (shape.size() != 3 || stored.size() != tensors.size())
      return "has sources that are no matrices in the format";
    std::vector<Storage> storage;
    for (auto [own, tensor] : llvm::zip(stored, tensors)) {
      StringRef name = own.getAs<StringAttr>("name").getValue();
      auto it = all.find(name);
      if (it == all.end())
        return ("wants a tensor '" + name + "', which is not there").str();
      storage.push_back({it->second, own.getAs<DictionaryAttr>("order"),
                         shape[1], shape[2] / block, getInt(tensor, "bytes"),
                         getInt(tensor, "rows", 1),
                         getInt(tensor, "blocks", 1)});
    }
    std::array<int64_t, 3> sizes{shape[0], shape[1], shape[2]};
    std::array<int64_t, 3> strides{shape[1] * shape[2], shape[2], 1};
    int64_t offset = 0;
    if (auto view = source.getAs<DictionaryAttr>("view")) {
      offset = getInt(view, "offset");
      llvm::copy(getInts(view.get("sizes")), sizes.begin());
      llvm::copy(getInts(view.get("strides")), strides.begin());
    }
    int64_t firstRow =
        getInt(source, "part") * (rows / getInt(packed, "parts", 1)) +
        getInt(source, "first_n");
    for (int64_t e = 0; e < sizes[0]; ++e)
      for (int64_t n = 0; n < sizes[1]; ++n)
        for (int64_t k = 0; k < sizes[2]; k += block) {
          // The element that begins the block, counted in whole matrices.
          int64_t from =
              offset + e * strides[0] + n * strides[1] + k * strides[2];
          int64_t row = from / shape[2], place = from % shape[2] / block;
          int64_t own = firstRow + n;
          int64_t at =
              (((getInt(source, "first_expert") + e) * (rows / columns) +
                own / columns) *
                   (depth / block) +
               (getInt(source, "first_k") + k) / block) *
              ofBlock;
          if (at < 0 || at + ofBlock > available)
            return "has sources behind its end";
          std::vector<std::vector<uint8_t>> bytes;
          for (const Storage &tensor : storage) {
            bytes.push_back(tensor.read(row / shape[1], row % shape[1], place));
            if (bytes.back().empty())
              return "has a source that is larger than its tensors";
          }
          for (DictionaryAttr field : fields) {
            int64_t size = getInt(field, "bytes"), unit = getInt(field, "unit");
            const std::vector<uint8_t> &data = bytes[getInt(field, "storage")];
            if (getInt(field, "offset") + size > int64_t(data.size()))
              return "has fields that blocks do not have";
            for (int64_t i = 0; i < size; i += unit)
              std::memcpy(to.dataAs<char>() + at + i * columns +
                              own % columns * unit,
                          data.data() + getInt(field, "offset") + i, unit);
            at += size * columns;
          }
        }
  }
  return "";
}
