//===- Packing.cpp - Weights in the layout of the kernels ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A panel is a transposition of 32 source rows. It is done in strips of a few
// cache lines along K: each source line is read once, converted in a buffer
// that stays in registers or L1, and scattered into a strip of the panel that
// stays in L1, too.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Support/FloatConversions.h"
#include "moe-mlir/Support/Parallel.h"

#include <algorithm>
#include <cstring>

using namespace moe;

namespace {

std::string text(int64_t value) { return std::to_string(value); }

/// N and K of a source, whatever its rank.
struct Extent {
  int64_t experts, n, k;
};

Extent extentOf(const std::vector<int64_t> &shape) {
  size_t rank = shape.size();
  return {rank == 3 ? shape[0] : 1, shape[rank - 2], shape[rank - 1]};
}

/// What `source` uses of a tensor of this extent.
Extent usedOf(const PackSource &source, Extent extent) {
  return {source.matrices ? source.matrices : extent.experts,
          source.rows ? source.rows : extent.n,
          source.columns ? source.columns : extent.k};
}

/// Whether [first, first + count) lies within [0, size).
bool isWithin(int64_t first, int64_t count, int64_t size) {
  return first >= 0 && count >= 0 && first <= size && count <= size - first;
}

/// How many columns of one part there are room for.
int64_t columnCapacity(const PackSpec &spec) {
  return spec.nPadded / spec.numParts();
}

/// K elements per strip: 4 cache lines of f32.
constexpr int64_t strip = 64;

void convertStrip(DType from, const void *source, DType to, void *out,
                  int64_t count) {
  const auto *f32 = static_cast<const float *>(source);
  const auto *half = static_cast<const uint16_t *>(source);
  auto *outF32 = static_cast<float *>(out);
  auto *outHalf = static_cast<uint16_t *>(out);
  if (from == to) {
    std::memcpy(out, source, count * dtypeSize(from));
    return;
  }
  // Widening is exact, so that going through f32 rounds once.
  float wide[strip];
  float *widened = to == DType::F32 ? outF32 : wide;
  if (from == DType::BF16)
    for (int64_t i = 0; i < count; ++i)
      widened[i] = bf16ToF32(half[i]);
  else if (from == DType::F16)
    for (int64_t i = 0; i < count; ++i)
      widened[i] = f16ToF32(half[i]);
  const float *rounding = from == DType::F32 ? f32 : widened;
  if (to == DType::BF16)
    for (int64_t i = 0; i < count; ++i)
      outHalf[i] = f32ToBF16(rounding[i]);
  else if (to == DType::F16)
    for (int64_t i = 0; i < count; ++i)
      outHalf[i] = f32ToF16(rounding[i]);
}

/// A row of a source; null for padding.
struct Row {
  const char *data = nullptr;
  DType dtype = DType::F32;
};

/// Packs one panel from its rows of `k` elements. Unit: as wide as kBlock
/// elements, which stay together.
template <typename Unit>
void packPanel(const PackSpec &spec, const Row *rows, int64_t k, char *panel) {
  Unit *out = reinterpret_cast<Unit *>(panel);
  alignas(64) char converted[strip * sizeof(Unit)];
  for (int64_t begin = 0; begin < spec.kPadded; begin += strip) {
    int64_t width = std::min(strip, spec.kPadded - begin);
    int64_t valid = std::clamp<int64_t>(k - begin, 0, width);
    int64_t units = width / spec.kBlock;
    for (int64_t column = 0; column < spec.columns; ++column) {
      const Row &row = rows[column];
      int64_t present = row.data ? valid : 0;
      // The hardware does not foresee 32 streams: ask for the next strip. Rows
      // are often a power of two apart, which the first cache cannot hold.
      size_t size = dtypeSize(row.dtype);
      if (begin + strip < k && row.data)
        for (size_t line = 0; line < strip * size; line += 64)
          __builtin_prefetch(row.data + (begin + strip) * size + line, 0, 2);
      if (present != width)
        std::memset(converted, 0, sizeof(converted));
      if (present)
        convertStrip(row.dtype, row.data + begin * size,
                     spec.dtype, converted, present);
      Unit *to = out + begin / spec.kBlock * spec.columns + column;
      for (int64_t i = 0; i < units; ++i) {
        Unit unit;
        std::memcpy(&unit, converted + i * sizeof(Unit), sizeof(Unit));
        to[i * spec.columns] = unit;
      }
    }
  }
}

} // namespace

bool PackSpec::verify(std::string &error) const {
  auto fail = [&](const std::string &what) {
    error = what;
    return false;
  };
  if (layout != "panels")
    return fail("unknown layout '" + layout + "' (known: panels)");
  if (dtype != DType::F32 && dtype != DType::BF16 && dtype != DType::F16)
    return fail(std::string("packed weights of ") + dtypeName(dtype) +
                " (expected f32, bf16 or f16)");
  if (kBlock != 1 && kBlock != 2 && (kBlock != 4 || dtypeSize(dtype) != 2))
    return fail("k_block = " + text(kBlock) +
                " (expected 1, 2, or 4 of 16-bit elements)");
  if (columns < 1 || columns > 4096 || interleave < 0 ||
      (interleave && interleave * 2 != columns))
    return fail("columns = " + text(columns) + " with interleave = " +
                text(interleave) +
                " (expected 1 to 4096 columns and half of that or 0)");
  if (parts != 1 && parts != 2)
    return fail("parts = " + text(parts) + " (expected 1 or 2)");
  int64_t ofAllParts = interleave ? columns : columns * parts;
  if (nPadded < 1 || nPadded % ofAllParts)
    return fail("n_padded = " + text(nPadded) +
                " is not a positive multiple of columns = " + text(columns) +
                (ofAllParts == columns ? "" : " of each part"));
  if (kPadded < 1 || kPadded % kBlock)
    return fail("k_padded = " + text(kPadded) +
                " is not a positive multiple of k_block = " + text(kBlock));
  int64_t bytes;
  if (experts < 1 || experts > (int64_t(1) << 24) ||
      !checkedByteSize({experts, nPadded, kPadded}, dtypeSize(dtype), bytes))
    return fail("experts = " + text(experts) + ", n_padded = " +
                text(nPadded) + ", k_padded = " + text(kPadded) +
                " do not make a tensor");
  if (sources.size() > 4096)
    return fail("too many sources: " + text(sources.size()));
  for (int64_t part = 0; part < numParts(); ++part) {
    int64_t covered = 0;
    for (;;) {
      const PackSource *found = nullptr;
      for (const PackSource &source : sources) {
        if (source.part != part || source.firstExpert != covered)
          continue;
        if (found)
          return fail("two sources for expert " + text(covered) +
                      " of part " + text(part) + ": '" + found->name +
                      "' and '" + source.name + "'");
        found = &source;
      }
      if (!found)
        return fail("no source for expert " + text(covered) + " of part " +
                    text(part));
      if (!found->shape.empty()) {
        size_t rank = found->shape.size();
        if (rank != 2 && rank != 3)
          return fail("source '" + found->name + "' has rank " + text(rank) +
                      " (expected [E, N, K] or [N, K])");
        Extent whole = extentOf(found->shape), extent = usedOf(*found, whole);
        if (!isWithin(found->firstRow, found->rows, whole.n) ||
            !isWithin(found->firstColumn, found->columns, whole.k) ||
            !isWithin(found->firstMatrix, found->matrices, whole.experts))
          return fail("source '" + found->name +
                      "' uses matrices, rows or columns that its shape does "
                      "not have");
        if (extent.experts != numExperts(*found) || extent.n < 1 ||
            extent.n > columnCapacity(*this) || extent.k < 1 ||
            extent.k > kPadded)
          return fail("the shape of source '" + found->name +
                      "' does not fit into its panels");
      } else if (found->rows || found->columns || found->firstRow ||
                 found->firstColumn || found->matrices || found->firstMatrix) {
        return fail("source '" + found->name +
                    "' is cut out of a tensor of unknown shape");
      }
      covered += numExperts(*found);
      if (covered == experts)
        break;
    }
  }
  for (const PackSource &source : sources)
    if (source.part < 0 || source.part >= numParts() ||
        source.firstExpert < 0 || source.firstExpert >= experts)
      return fail("source '" + source.name + "' has part " +
                  text(source.part) + " and first expert " +
                  text(source.firstExpert) + ", beyond " + text(numParts()) +
                  " parts and " + text(experts) + " experts");
  return true;
}

int64_t PackSpec::numExperts(const PackSource &source) const {
  int64_t end = experts;
  for (const PackSource &other : sources)
    if (other.part == source.part && other.firstExpert > source.firstExpert)
      end = std::min(end, other.firstExpert);
  return end - source.firstExpert;
}

std::vector<int64_t> PackSpec::expectedShape(const PackSource &source) const {
  if (!source.shape.empty())
    return source.shape;
  int64_t count = numExperts(source);
  return {count, columnCapacity(*this), kPadded};
}

bool moe::checkPackSources(const PackSpec &spec, const TensorLookup &lookup,
                           std::string &error) {
  if (!spec.verify(error))
    return false;
  Extent first{};
  const PackSource *firstSource = nullptr;
  for (const PackSource &source : spec.sources) {
    const HostTensor *tensor = lookup(source.name);
    std::vector<int64_t> expected = spec.expectedShape(source);
    auto fail = [&](const std::string &found) {
      error = "tensor '" + source.name + "' is " + found + ", expected " +
              (source.shape.empty() ? "at most " : "") +
              describeType(source.dtype, expected) +
              " (f32, bf16 or f16 elements)";
      return false;
    };
    if (!tensor)
      return fail("missing");
    size_t rank = tensor->shape.size();
    bool isConvertible = tensor->dtype == DType::F32 ||
                         tensor->dtype == DType::BF16 ||
                         tensor->dtype == DType::F16;
    if (!isConvertible || (rank != 2 && rank != 3))
      return fail(tensor->describe());
    Extent extent = extentOf(tensor->shape), limit = extentOf(expected);
    bool fits = source.shape.empty()
                    ? extent.n >= 1 && extent.n <= limit.n && extent.k >= 1 &&
                          extent.k <= limit.k
                    : extent.n == limit.n && extent.k == limit.k;
    if (!fits || extent.experts != limit.experts)
      return fail(tensor->describe());
    extent = usedOf(source, extent);
    if (firstSource && (extent.n != first.n || extent.k != first.k)) {
      error = "tensors '" + firstSource->name + "' and '" + source.name +
              "' are packed together, but have rows of different shapes: " +
              text(first.n) + "x" + text(first.k) + " and " + text(extent.n) +
              "x" + text(extent.k);
      return false;
    }
    first = extent;
    firstSource = &source;
  }
  return true;
}

bool moe::packExperts(const PackSpec &spec, const TensorLookup &lookup,
                      int64_t begin, int64_t end, void *out,
                      const TensorFill &fill) {
  /// The tensor of each (expert, part), the expert's index in it, and what is
  /// used of it.
  struct Origin {
    const HostTensor *tensor;
    int64_t index;
    const PackSource *source;
  };
  int64_t parts = spec.numParts(), count = end - begin;
  std::vector<Origin> origins(count * parts);
  std::vector<std::unique_ptr<HostTensor>> filled;
  for (const PackSource &source : spec.sources) {
    const HostTensor *tensor = lookup(source.name);
    int64_t first = std::max(begin, source.firstExpert);
    int64_t stop =
        std::min(end, source.firstExpert + spec.numExperts(source));
    if (first >= stop)
      continue;
    // The expert that the first matrix of the tensor would be.
    int64_t base = source.firstExpert - source.firstMatrix;
    if (!tensor->data) {
      Extent extent = extentOf(tensor->shape);
      filled.push_back(std::make_unique<HostTensor>(HostTensor::allocate(
          tensor->dtype, {stop - first, extent.n, extent.k}, tensor->name)));
      if (!filled.back()->data)
        return false;
      fill(*filled.back(), (first - base) * extent.n * extent.k);
      tensor = filled.back().get();
      base = first;
    }
    for (int64_t e = first; e < stop; ++e)
      origins[(e - begin) * parts + source.part] = {tensor, e - base, &source};
  }

  int64_t panels = spec.nPadded / spec.columns;
  int64_t panelBytes = spec.bytesPerExpert() / panels;
  int64_t perPart = spec.interleave ? spec.interleave : spec.columns;
  int64_t ofOnePart = spec.interleave ? panels : panels / parts;
  size_t unitBytes = spec.kBlock * dtypeSize(spec.dtype);
  auto packOne = [&](int64_t item) {
    int64_t expert = item / panels, panel = item % panels;
    char *to = static_cast<char *>(out) + item * panelBytes;
    std::vector<Row> rows(spec.columns);
    int64_t k = 0;
    int64_t firstPart = spec.interleave ? 0 : panel / ofOnePart;
    int64_t lastPart = spec.interleave ? parts : firstPart + 1;
    for (int64_t part = firstPart; part < lastPart; ++part) {
      const Origin &origin = origins[expert * parts + part];
      Extent extent = extentOf(origin.tensor->shape);
      Extent used = usedOf(*origin.source, extent);
      DType dtype = origin.tensor->dtype;
      k = used.k;
      int64_t size = static_cast<int64_t>(dtypeSize(dtype));
      int64_t rowBytes = extent.k * size;
      int64_t firstRow = panel % ofOnePart * perPart;
      const char *data =
          static_cast<const char *>(origin.tensor->data) +
          (origin.index * extent.n + origin.source->firstRow + firstRow) *
              rowBytes +
          origin.source->firstColumn * size;
      for (int64_t i = 0; i < perPart && firstRow + i < used.n; ++i)
        rows[(part - firstPart) * perPart + i] = {data + i * rowBytes, dtype};
    }
    if (unitBytes == 2)
      packPanel<uint16_t>(spec, rows.data(), k, to);
    else if (unitBytes == 4)
      packPanel<uint32_t>(spec, rows.data(), k, to);
    else
      packPanel<uint64_t>(spec, rows.data(), k, to);
  };
  parallelFor(count * panels, packOne);
  return true;
}

int64_t moe::packBatch(const PackSpec &spec) {
  constexpr int64_t wanted = int64_t(64) << 20;
  return std::clamp<int64_t>(wanted / spec.bytesPerExpert(), 1, spec.experts);
}

bool moe::pack(const PackSpec &spec, const TensorLookup &lookup,
               HostTensor &packed, std::string &error,
               const TensorFill &fill) {
  if (!checkPackSources(spec, lookup, error))
    return false;
  packed = HostTensor::allocate(DType::U8, {spec.numBytes()});
  int64_t batch = packBatch(spec);
  bool isGood = packed.data != nullptr;
  for (int64_t begin = 0; isGood && begin < spec.experts; begin += batch)
    isGood = packExperts(spec, lookup, begin,
                         std::min(begin + batch, spec.experts),
                         packed.dataAs<char>() + begin * spec.bytesPerExpert(),
                         fill);
  if (!isGood)
    error = "no memory for " + text(spec.numBytes()) + " bytes of packed "
            "weights";
  return isGood;
}
