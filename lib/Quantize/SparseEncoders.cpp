//===- SparseEncoders.cpp - Which weights become zeros ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Those are kept whose squares, times what their columns count, are largest: by
// magnitude, or with statistics of activations by |w| times the root mean
// square of x (Sun et al., arXiv 2306.11695). Nothing else is changed, so that
// matrices that have the zeros already lose nothing.
//
//===----------------------------------------------------------------------===//

#include "Encoders.h"
#include "Sparse.h"
#include "moe/SparseFormats.h"

#include "llvm/ADT/SetVector.h"

#include <algorithm>
#include <numeric>

using namespace mlir;

namespace moe::quantize {

/// How much it counts that a value stays; in double, whose squares of f32 are
/// neither 0 nor infinite.
static double energyOf(float x, float importance) {
  return double(x) * x * importance;
}

/// The two of four values of `x` that count most, the first of equal ones, by
/// ascending index.
static std::pair<int, int> selectTwo(const float *x, const float *importance) {
  double energies[4];
  for (int j = 0; j < 4; ++j)
    energies[j] = energyOf(x[j], importance[j]);
  int best = 0;
  for (int j = 1; j < 4; ++j)
    if (energies[j] > energies[best])
      best = j;
  int next = best == 0 ? 1 : 0;
  for (int j = next + 1; j < 4; ++j)
    if (j != best && energies[j] > energies[next])
      next = j;
  return {std::min(best, next), std::max(best, next)};
}

/// The `count` values of `energies` that are largest, the first of equal ones,
/// in their order.
static void selectLargest(ArrayRef<double> energies, int64_t count,
                          SmallVectorImpl<int32_t> &chosen) {
  chosen.resize(energies.size());
  std::iota(chosen.begin(), chosen.end(), 0);
  std::stable_sort(chosen.begin(), chosen.end(), [&](int32_t a, int32_t b) {
    return energies[a] > energies[b];
  });
  chosen.truncate(count);
  llvm::sort(chosen);
}

/// Which blocks some rows keep.
static void selectBlocks(SparseBlocksFormatAttr format, const RowValues &rows,
                         SmallVectorImpl<int32_t> &chosen) {
  int64_t columns = format.getColumns();
  SmallVector<double> energies(rows.k / columns, 0.0);
  for (int64_t i = 0; i < rows.count; ++i)
    for (int64_t k = 0; k < rows.k; ++k)
      energies[k / columns] += energyOf(rows.row(i)[k], rows.importance[k]);
  selectLargest(energies, format.getKept(), chosen);
}

namespace {
struct Sparse24Encoder
    : EncodingAttrInterface::ExternalModel<Sparse24Encoder,
                                           Sparse24FormatAttr> {
  void encodeRows(Attribute attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    Type type = cast<Sparse24FormatAttr>(attribute).getValues();
    for (int64_t i = 0; i < rows.count; ++i) {
      uint8_t *values = storage[0].row(rows.first + i);
      uint8_t *places = storage[1].row(rows.first + i);
      for (int64_t k = 0; k < rows.k; k += 4) {
        const float *x = rows.row(i) + k;
        auto [first, second] = selectTwo(x, rows.importance.data() + k);
        putNumber(type, values, k / 2, x[first]);
        putNumber(type, values, k / 2 + 1, x[second]);
        auto bits = static_cast<uint8_t>(first | second << 2);
        places[k / 8] = k % 8 ? places[k / 8] | bits << 4 : bits;
      }
    }
  }
};

struct SparseBlocksEncoder
    : EncodingAttrInterface::ExternalModel<SparseBlocksEncoder,
                                           SparseBlocksFormatAttr> {
  void encodeRows(Attribute attribute, const RowValues &rows,
                  ArrayRef<StorageRows> storage) const {
    auto format = cast<SparseBlocksFormatAttr>(attribute);
    int64_t columns = format.getColumns();
    SmallVector<int32_t> chosen;
    selectBlocks(format, rows, chosen);
    std::memcpy(storage[1].row(rows.first / SparseBlocksFormatAttr::kRows),
                chosen.data(), chosen.size() * sizeof(int32_t));
    for (int64_t i = 0; i < rows.count; ++i)
      for (auto [piece, block] : llvm::enumerate(chosen))
        for (int64_t k = 0; k < columns; ++k)
          putNumber(format.getValues(), storage[0].row(rows.first + i),
                    piece * columns + k, rows.row(i)[block * columns + k]);
  }
};
} // namespace

void attachSparseEncoders(MLIRContext *context) {
  Sparse24FormatAttr::attachInterface<Sparse24Encoder>(*context);
  SparseBlocksFormatAttr::attachInterface<SparseBlocksEncoder>(*context);
}

std::string findPruned(WeightFormatAttrInterface attribute,
                       const RowValues &rows) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (isa<Sparse24FormatAttr>(attribute)) {
    for (int64_t i = 0; i < rows.count; ++i)
      for (int64_t k = 0; k < rows.k; k += 4) {
        int64_t count = llvm::count_if(ArrayRef(rows.row(i) + k, 4),
                                       [](float x) { return x != 0; });
        if (count > 2) {
          os << "row " << rows.first + i << ", columns " << k << " to " << k + 3
             << " have " << count
             << " values that are not 0, more than the two that " << attribute
             << " stores";
          return text;
        }
      }
  }
  if (auto format = dyn_cast<SparseBlocksFormatAttr>(attribute)) {
    int64_t columns = format.getColumns();
    llvm::SmallSetVector<int64_t, 16> blocks;
    for (int64_t i = 0; i < rows.count; ++i)
      for (int64_t k = 0; k < rows.k; ++k)
        if (rows.row(i)[k] != 0 && blocks.insert(k / columns) &&
            static_cast<int64_t>(blocks.size()) > format.getKept()) {
          os << "row " << rows.first + i << ", column " << k << " is in a block"
             << " of values that are not 0 beyond the " << format.getKept()
             << " that " << attribute << " stores of rows " << rows.first
             << " to " << rows.first + rows.count - 1;
          return text;
        }
  }
  return text;
}

} // namespace moe::quantize
