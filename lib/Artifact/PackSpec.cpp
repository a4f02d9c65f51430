//===- PackSpec.cpp - What may be packed -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Whether the numbers of a manifest make sense together.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Runtime/moe_pack_panel.h"

#include <algorithm>
#include <map>
#include <optional>

using namespace moe;

static std::string text(int64_t value) { return std::to_string(value); }

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

PackView PackView::whole(const std::vector<int64_t> &shape) {
  size_t rank = shape.size();
  PackView view;
  view.sizes = {rank == 3 ? shape[0] : 1, shape[rank - 2], shape[rank - 1]};
  int64_t stride = 1;
  for (int d : {2, 1, 0}) {
    view.strides[d] = view.sizes[d] == 1 ? 0 : stride;
    stride *= view.sizes[d];
  }
  return view;
}

bool PackView::operator==(const PackView &other) const {
  return offset == other.offset && sizes == other.sizes &&
         strides == other.strides;
}

/// Whether `view` is within a tensor of `numElements`.
static bool isWithin(const PackView &view, int64_t numElements) {
  int64_t last = view.offset;
  if (last < 0)
    return false;
  for (int d = 0; d < 3; ++d) {
    int64_t distance;
    if (view.sizes[d] < 1 || view.strides[d] < 0 ||
        __builtin_mul_overflow(view.sizes[d] - 1, view.strides[d],
                               &distance) ||
        __builtin_add_overflow(last, distance, &last))
      return false;
  }
  return last < numElements;
}

//===----------------------------------------------------------------------===//
// PackSpec
//===----------------------------------------------------------------------===//

std::vector<PackTensor> PackSource::getTensors() const {
  if (!storage.empty())
    return storage;
  return {{name, shape, dtype}};
}

int64_t PackSpec::bytesPerBlock() const {
  if (!isBlocks())
    return kBlock * static_cast<int64_t>(dtypeSize(dtype));
  int64_t bytes = 0;
  for (const PackField &field : fields)
    bytes += field.bytes;
  return bytes;
}

StoredGroup PackSpec::getGroup(const PackSource &source, size_t index) const {
  StoredGroup group;
  // Numbers in another order are made up one by one, in words of them.
  const PackTensor &tensor = source.storage[index];
  group.bytes = tensor.order ? static_cast<int64_t>(dtypeSize(tensor.dtype))
                             : storage[index].bytes;
  for (const PackField &field : fields) {
    if (field.storage != static_cast<int64_t>(index))
      continue;
    if (field.bits.kind != StoredBits::Any)
      group.numbers.push_back(
          {field.offset, field.bytes, field.dtype, {}, field.bits});
    else if (field.range)
      group.numbers.push_back({field.offset, field.bytes, field.range->dtype,
                               field.range->of(source.shape.back())});
  }
  return group;
}

namespace {
/// Where a source goes, by expert, row and column.
struct Box {
  std::array<int64_t, 3> begin, end;
  const PackSource *source;

  bool overlaps(const Box &other) const {
    for (int d = 0; d < 3; ++d)
      if (begin[d] >= other.end[d] || other.begin[d] >= end[d])
        return false;
    return true;
  }
  int64_t area() const {
    return (end[1] - begin[1]) * (end[2] - begin[2]);
  }
};
} // namespace

/// Whether `boxes` of a part fill `experts` matrices of [n, k].
static bool fillPart(int64_t part, std::vector<Box> boxes, int64_t experts,
                     int64_t n, int64_t k, std::string &error) {
  std::stable_sort(boxes.begin(), boxes.end(), [](const Box &a, const Box &b) {
    return a.begin[0] < b.begin[0];
  });
  std::vector<const Box *> active;
  // By how much the filled part of a matrix changes from some expert on.
  std::map<int64_t, int64_t> changes = {{0, 0}, {experts, 0}};
  for (const Box &box : boxes) {
    active.erase(std::remove_if(active.begin(), active.end(),
                                [&](const Box *other) {
                                  return other->end[0] <= box.begin[0];
                                }),
                 active.end());
    for (const Box *other : active)
      if (box.overlaps(*other)) {
        error = "two sources for expert " + text(box.begin[0]) + " of part " +
                text(part) + ": '" + other->source->name + "' and '" +
                box.source->name + "'";
        return false;
      }
    active.push_back(&box);
    changes[box.begin[0]] += box.area();
    changes[box.end[0]] -= box.area();
  }
  int64_t filled = 0;
  for (auto [expert, change] : changes) {
    filled += change;
    if (expert < experts && filled != n * k) {
      error = "no source for " + std::string(filled ? "some of " : "") +
              "expert " + text(expert) + " of part " + text(part);
      return false;
    }
  }
  return true;
}

/// Whether the elements of panels are of a known type and number.
static bool verifyPanels(const PackSpec &spec, std::string &error) {
  DType dtype = spec.dtype;
  if (dtype != DType::F32 && dtype != DType::BF16 && dtype != DType::F16)
    error = std::string("packed weights of ") + dtypeName(dtype) +
            " (expected f32, bf16 or f16)";
  else if (spec.kBlock != 1 && spec.kBlock != 2 &&
           (spec.kBlock != 4 || dtypeSize(dtype) != 2))
    error = "k_block = " + text(spec.kBlock) +
            " (expected 1, 2, or 4 of 16-bit elements)";
  else
    return true;
  return false;
}

/// Whether the fields of blocks are within their storage.
static bool verifyBlocks(const PackSpec &spec, std::string &error) {
  constexpr int64_t mostBytes = int64_t(1) << 20;
  auto fail = [&](const std::string &what) {
    error = what;
    return false;
  };
  if (spec.dtype != DType::I8)
    return fail(std::string("packed blocks of ") + dtypeName(spec.dtype) +
                " (expected i8)");
  if (spec.kBlock < 1)
    return fail("block = " + text(spec.kBlock) + " (expected 1 or more)");
  if (spec.storage.empty() || spec.storage.size() > moe_pack_max_storage)
    return fail(text(spec.storage.size()) + " storage tensors (expected 1 to " +
                text(moe_pack_max_storage) + ")");
  for (const PackStorage &tensor : spec.storage)
    if (tensor.bytes < 1 || tensor.bytes > mostBytes || tensor.rows < 1 ||
        tensor.rows > mostBytes || tensor.blocks < 0 ||
        tensor.blocks > mostBytes)
      return fail("storage '" + tensor.name + "' has " + text(tensor.bytes) +
                  " bytes for " + text(tensor.rows) + " rows and " +
                  text(tensor.blocks) + " blocks");
  if (spec.fields.empty() || spec.fields.size() > 64)
    return fail(text(spec.fields.size()) + " fields (expected 1 to 64)");
  for (const PackField &field : spec.fields)
    if (field.storage < 0 || field.storage >= int64_t(spec.storage.size()) ||
        field.offset < 0 || field.bytes < 1 ||
        field.offset > spec.storage[field.storage].bytes - field.bytes ||
        (field.unit != 1 && field.unit != 2 && field.unit != 4 &&
         field.unit != 8) ||
        field.bytes % field.unit || field.bytes % dtypeSize(field.dtype) ||
        (field.range && field.bytes % dtypeSize(field.range->dtype)) ||
        (field.bits.kind == StoredBits::Ascending &&
         (field.bytes % 4 || field.bits.limit < 1 ||
          field.bits.limit > spec.kPadded)))
      return fail("a field of " + text(field.bytes) + " bytes in units of " +
                  text(field.unit) + " from byte " + text(field.offset) +
                  " of storage " + text(field.storage) + " on");
  return true;
}

/// Whether `order`, if there is one, puts all numbers of `n` rows, which take
/// `bytes` bytes in blocks of `matrices` matrices, into as many bytes as that
/// then becomes.
static bool verifyOrder(const std::optional<moe_pack_order> &order,
                        const PackStorage &storage, int64_t n, int64_t matrices,
                        int64_t &bytes) {
  if (!order)
    return true;
  bool isKnown =
      (order->bits == 4 && (order->width == 4 || order->width == 8)) ||
      (order->bits == order->width &&
       (order->bits == 8 || order->bits == 16 || order->bits == 32));
  if (!isKnown || storage.rows != 1 || matrices < 1 || n < 1)
    return false;
  int64_t numbers = bytes / matrices * 8 / order->width;
  int64_t least = order->first, most = order->first, all[2] = {1, 1};
  for (const moe_pack_digit(*digits)[3] : {&order->rows, &order->places})
    for (const moe_pack_digit &digit : *digits) {
      int64_t distance, &size = all[digits == &order->places];
      if (digit.weight < 1 || digit.size < 1 ||
          __builtin_mul_overflow(digit.size - 1, digit.stride, &distance) ||
          __builtin_mul_overflow(size, digit.size, &size) ||
          __builtin_add_overflow(distance < 0 ? least : most, distance,
                                 distance < 0 ? &least : &most))
        return false;
    }
  bytes = matrices * (numbers * order->bits / 8);
  return least >= 0 && most < numbers && all[0] == n && all[1] == numbers / n &&
         numbers * order->bits % 8 == 0;
}

/// Whether `source` is whole blocks of rows of its matrices, and its tensors
/// have as many as they need. Its shape and view have been checked.
static bool verifyStorage(const PackSpec &spec, const PackSource &source,
                          std::string &error) {
  auto fail = [&](const std::string &what) {
    error = "source '" + source.name + "' " + what;
    return false;
  };
  size_t rank = source.shape.size();
  const PackView &view = source.view;
  if (rank != 2 && rank != 3)
    return fail("of blocks has rank " + text(rank) +
                " (expected [E, N, K] or [N, K])");
  int64_t n = source.shape[rank - 2], k = source.shape[rank - 1];
  int64_t first = view.offset % k;
  if (k % spec.kBlock || first % spec.kBlock || view.sizes[2] % spec.kBlock ||
      source.firstK % spec.kBlock || view.sizes[2] > k - first ||
      (view.sizes[2] != 1 && view.strides[2] != 1) || view.strides[0] % k ||
      view.strides[1] % k)
    return fail("is not whole blocks of " + text(spec.kBlock) + " of rows of " +
                text(k));
  if (source.storage.size() != spec.storage.size())
    return fail("has " + text(source.storage.size()) +
                " storage tensors (expected " + text(spec.storage.size()) +
                ")");
  int64_t matrices = rank == 3 ? source.shape[0] : 1;
  for (size_t i = 0; i < source.storage.size(); ++i) {
    const PackStorage &storage = spec.storage[i];
    const PackTensor &tensor = source.storage[i];
    int64_t blocks = k / spec.kBlock, bytes, wanted;
    int64_t groups =
        storage.blocks ? (blocks + storage.blocks - 1) / storage.blocks : 1;
    if (!checkedByteSize(tensor.shape, dtypeSize(tensor.dtype), bytes) ||
        !checkedByteSize({matrices, (n + storage.rows - 1) / storage.rows,
                          groups, storage.bytes},
                         1, wanted) ||
        !verifyOrder(tensor.order, storage, n, matrices, wanted) ||
        bytes != wanted)
      return fail("is stored in '" + tensor.name + "' of " +
                  describeType(tensor.dtype, tensor.shape) +
                  ", which has not the bytes of " +
                  describeType(source.dtype, source.shape));
  }
  return true;
}

/// Whether rows of `source` that share a list in its tensors do so in panels:
/// kernels read the list of one of them.
static bool verifyLists(const PackSpec &spec, const PackSource &source,
                        std::string &error) {
  int64_t n = source.shape[source.shape.size() - 2], k = source.shape.back();
  const PackView &view = source.view;
  for (const PackField &field : spec.fields) {
    int64_t rows = spec.storage[field.storage].rows;
    if (field.bits.kind != StoredBits::Ascending || rows == 1)
      continue;
    bool fits = source.firstN % rows == 0 &&
                (view.sizes[1] == 1 || view.strides[1] == k);
    for (int64_t e = 0; fits && e < view.sizes[0]; ++e)
      fits = (view.offset + e * view.strides[0]) / k % n % rows == 0;
    if (!fits) {
      error = "source '" + source.name + "' uses a part of the " + text(rows) +
              " rows that share a list of blocks; take whole ones";
      return false;
    }
  }
  return true;
}

bool PackSpec::verify(std::string &error) const {
  auto fail = [&](const std::string &what) {
    error = what;
    return false;
  };
  if (layout != "panels" && !isBlocks())
    return fail("unknown layout '" + layout + "' (known: panels, blocks)");
  if (!(isBlocks() ? verifyBlocks : verifyPanels)(*this, error))
    return false;
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
      !checkedByteSize({experts, nPadded, kPadded / kBlock}, bytesPerBlock(),
                       bytes))
    return fail("experts = " + text(experts) + ", n_padded = " +
                text(nPadded) + ", k_padded = " + text(kPadded) +
                " do not make a tensor");
  if (sources.size() > maxSources)
    return fail("too many sources: " + text(sources.size()));
  int64_t capacity = nPadded / numParts(), n = 1, k = 1;
  std::map<std::string, const PackSource *> byName;
  std::vector<std::vector<Box>> boxes(numParts());
  for (const PackSource &source : sources) {
    if (source.part < 0 || source.part >= numParts() ||
        source.firstExpert < 0 || source.firstExpert >= experts)
      return fail("source '" + source.name + "' has part " +
                  text(source.part) + " and first expert " +
                  text(source.firstExpert) + ", beyond " + text(numParts()) +
                  " parts and " + text(experts) + " experts");
    int64_t size;
    if (source.shape.empty() || !checkedByteSize(source.shape, 8, size))
      return fail("source '" + source.name + "' has no shape of a tensor");
    const PackSource *&first = byName[source.name];
    if (first && first->shape != source.shape)
      return fail("source '" + source.name + "' has two shapes");
    first = &source;
    if (!isWithin(source.view, size / 8))
      return fail("source '" + source.name +
                  "' uses elements that its shape does not have");
    if (isBlocks() && (!verifyStorage(*this, source, error) ||
                       !verifyLists(*this, source, error)))
      return false;
    Box box{{source.firstExpert, source.firstN, source.firstK}, {}, &source};
    const int64_t limits[] = {experts, capacity, kPadded};
    for (int d = 0; d < 3; ++d) {
      if (box.begin[d] < 0 || box.begin[d] > limits[d] ||
          source.view.sizes[d] > limits[d] - box.begin[d])
        return fail("the shape of source '" + source.name +
                    "' does not fit into its panels");
      box.end[d] = box.begin[d] + source.view.sizes[d];
    }
    n = std::max(n, box.end[1]);
    k = std::max(k, box.end[2]);
    boxes[source.part].push_back(box);
  }
  for (int64_t part = 0; part < numParts(); ++part)
    if (!fillPart(part, boxes[part], experts, n, k, error))
      return false;
  return true;
}
