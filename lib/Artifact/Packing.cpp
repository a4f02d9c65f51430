//===- Packing.cpp - Weights in the layout of the kernels ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Checks, and whole arguments. The runtime makes the panels.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Runtime/moe_pack_panel.h"
#include "moe-mlir/Support/Parallel.h"

#include <algorithm>
#include <atomic>
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
  group.bytes = storage[index].bytes;
  for (const PackField &field : fields)
    if (field.storage == static_cast<int64_t>(index) && field.range)
      group.numbers.push_back({field.offset, field.bytes, field.range->dtype,
                               field.range->of(source.shape.back())});
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
        (field.range && field.bytes % dtypeSize(field.range->dtype)))
      return fail("a field of " + text(field.bytes) + " bytes in units of " +
                  text(field.unit) + " from byte " + text(field.offset) +
                  " of storage " + text(field.storage) + " on");
  return true;
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
        bytes != wanted)
      return fail("is stored in '" + tensor.name + "' of " +
                  describeType(tensor.dtype, tensor.shape) +
                  ", which has not the bytes of " +
                  describeType(source.dtype, source.shape));
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
    if (isBlocks() && !verifyStorage(*this, source, error))
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

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

static int32_t getRuntimeType(DType dtype) {
  switch (dtype) {
  case DType::BF16:
    return MOE_BF16;
  case DType::F16:
    return MOE_F16;
  case DType::I32:
    return MOE_I32;
  case DType::I8:
  case DType::U8:
    return MOE_I8;
  case DType::F8E4M3:
    return MOE_F8E4M3;
  default:
    return MOE_F32;
  }
}

PackPlan::PackPlan(const PackSpec &spec) {
  // By the names of all that a source is stored in.
  std::map<std::vector<std::string>, int64_t> numbers;
  for (const PackSource &from : spec.sources) {
    auto add = [&](const std::string &name, DType dtype,
                   const std::vector<int64_t> &shape) {
      tensors.push_back({name.c_str(), getRuntimeType(dtype),
                         static_cast<int32_t>(shape.size()), shape.data(),
                         nullptr});
    };
    std::vector<std::string> names;
    for (const PackTensor &tensor : from.getTensors())
      names.push_back(tensor.name);
    auto [it, isNew] =
        numbers.try_emplace(names, static_cast<int64_t>(tensors.size()));
    if (isNew && from.storage.empty())
      add(from.name, from.dtype, from.shape);
    if (isNew)
      for (const PackTensor &tensor : from.storage)
        add(tensor.name, tensor.dtype, tensor.shape);
    moe_pack_source to{it->second,   from.part,   from.firstExpert,
                       from.firstN,  from.firstK, from.view.offset,
                       {}, {}};
    std::copy(from.view.sizes.begin(), from.view.sizes.end(), to.sizes);
    std::copy(from.view.strides.begin(), from.view.strides.end(), to.strides);
    sources.push_back(to);
    if (spec.isBlocks())
      matrices.push_back(
          {from.shape[from.shape.size() - 2], from.shape.back()});
  }
  for (const PackField &field : spec.fields)
    fields.push_back({field.storage, field.offset, field.bytes, field.unit,
                      getRuntimeType(field.dtype)});
  for (const PackStorage &tensor : spec.storage)
    storage.push_back({tensor.bytes, tensor.rows, tensor.blocks});
  plan.size = sizeof(plan);
  plan.layout = spec.layout.c_str();
  plan.bytes = static_cast<size_t>(spec.numBytes());
  plan.columns = spec.columns;
  plan.interleave = spec.interleave;
  plan.parts = spec.numParts();
  plan.k_block = spec.kBlock;
  plan.k_padded = spec.kPadded;
  plan.n_padded = spec.nPadded;
  plan.experts = spec.experts;
  plan.dtype = getRuntimeType(spec.dtype);
  plan.num_tensors = static_cast<int64_t>(tensors.size());
  plan.tensors = tensors.data();
  plan.num_sources = static_cast<int64_t>(sources.size());
  plan.sources = sources.data();
  plan.num_fields = static_cast<int64_t>(fields.size());
  plan.fields = fields.data();
  plan.num_storage = static_cast<int64_t>(storage.size());
  plan.storage = storage.data();
  plan.matrices = matrices.data();
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

/// Shapes that differ in nothing but dimensions of one in front hold the same.
static std::vector<int64_t> withoutLeadingOnes(std::vector<int64_t> shape) {
  auto first = std::find_if(shape.begin(), shape.end(),
                            [](int64_t size) { return size != 1; });
  shape.erase(shape.begin(), first);
  return shape;
}

bool moe::isPackable(const PackSpec &spec, DType given, DType wanted) {
  if (!spec.isBlocks())
    return given == DType::F32 || given == DType::BF16 || given == DType::F16;
  // Bytes are copied: an integer of the model may stand for what it likes.
  return given == wanted || (isInteger(wanted) && given != DType::I1 &&
                             dtypeSize(given) == dtypeSize(wanted));
}

std::string moe::describePackable(const PackSpec &spec, DType wanted) {
  if (!spec.isBlocks())
    return " (f32, bf16 or f16 elements)";
  return isInteger(wanted)
             ? " (elements of " + text(8 * dtypeSize(wanted)) + " bits)"
             : "";
}

bool moe::checkPackSources(const PackSpec &spec, const TensorLookup &lookup,
                           std::string &error) {
  if (!spec.verify(error))
    return false;
  for (const PackSource &source : spec.sources)
    for (const PackTensor &wanted : source.getTensors()) {
      const HostTensor *tensor = lookup(wanted.name);
      if (tensor && isPackable(spec, tensor->dtype, wanted.dtype) &&
          withoutLeadingOnes(tensor->shape) == withoutLeadingOnes(wanted.shape))
        continue;
      error = "tensor '" + wanted.name + "' is " +
              (tensor ? tensor->describe() : "missing") + ", expected " +
              describeType(wanted.dtype, wanted.shape) +
              describePackable(spec, wanted.dtype);
      return false;
    }
  return true;
}

/// Makes the elements of `tensor`, number `index` of the plan, that experts
/// [begin, end) need, if any, and sets `first` to the first of them.
static std::optional<HostTensor>
fillNeeded(const PackSpec &spec, const moe_pack_plan &plan, int64_t index,
           const HostTensor &tensor, int64_t begin, int64_t end,
           const TensorFill &fill, int64_t &first) {
  int64_t low = tensor.numElements(), high = 0;
  std::optional<StoredGroup> group;
  for (int64_t s = 0; s < plan.num_sources; ++s) {
    const moe_pack_source &source = plan.sources[s];
    int64_t from = std::max(begin, source.first_expert);
    int64_t to = std::min(end, source.first_expert + source.sizes[0]);
    int64_t stored = index - source.tensor;
    if (stored < 0 || stored >= std::max<int64_t>(plan.num_storage, 1) ||
        from >= to)
      continue;
    int64_t least =
        source.offset + (from - source.first_expert) * source.strides[0];
    int64_t most = least + (to - 1 - from) * source.strides[0];
    for (int d : {1, 2})
      most += (source.sizes[d] - 1) * source.strides[d];
    if (plan.num_storage) {
      // Whole rows, where they are stored.
      const moe_pack_storage &storage = plan.storage[stored];
      const moe_pack_matrix &matrix = plan.matrices[s];
      int64_t lines = (matrix.n + storage.rows - 1) / storage.rows;
      int64_t count =
          (spec.sources[s].shape.size() == 3 ? spec.sources[s].shape[0] : 1) *
          lines;
      int64_t width = tensor.numElements() / count;
      auto getLine = [&](int64_t element) {
        int64_t row = element / matrix.k;
        return row / matrix.n * lines + row % matrix.n / storage.rows;
      };
      least = getLine(least) * width;
      most = (getLine(most) + 1) * width - 1;
      group = spec.getGroup(spec.sources[s], stored);
    }
    low = std::min(low, least);
    high = std::max(high, most + 1);
  }
  if (low >= high)
    return std::nullopt;
  if (group) {
    first = low;
    HostTensor part =
        HostTensor::allocate(tensor.dtype, {high - low}, tensor.name);
    if (part.data)
      fill(part, static_cast<uint64_t>(first), &*group);
    return part;
  }
  // Whole rows, and the rank of the whole: what is made up depends on both.
  int64_t row = tensor.shape.size() < 2 ? 1 : tensor.shape.back();
  first = low / row * row;
  int64_t rows = (high - first + row - 1) / row;
  std::vector<int64_t> shape(tensor.shape.size(), 1);
  if (shape.size() < 2) {
    shape[0] = rows;
  } else {
    shape.back() = row;
    shape[shape.size() - 2] = rows;
  }
  HostTensor part =
      HostTensor::allocate(tensor.dtype, std::move(shape), tensor.name);
  if (part.data)
    fill(part, static_cast<uint64_t>(first), nullptr);
  return part;
}

bool moe::packExperts(const PackSpec &spec, const TensorLookup &lookup,
                      int64_t begin, int64_t end, void *out, std::string &error,
                      const TensorFill &fill) {
  PackPlan wrapped(spec);
  const moe_pack_plan &plan = wrapped.plan;
  std::vector<moe_tensor> tensors(plan.tensors,
                                  plan.tensors + plan.num_tensors);
  std::vector<int64_t> firsts(tensors.size());
  std::vector<HostTensor> filled;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const HostTensor *tensor = lookup(tensors[i].name);
    std::optional<HostTensor> made;
    if (!tensor->data) {
      made = fillNeeded(spec, plan, static_cast<int64_t>(i), *tensor, begin,
                        end, fill, firsts[i]);
      if (!made)
        continue;
      if (!made->data) {
        error =
            "no memory for tensor '" + tensor->name + "', " + made->describe();
        return false;
      }
      filled.push_back(*made);
      tensor = &*made;
    }
    tensors[i].dtype = getRuntimeType(tensor->dtype);
    tensors[i].data = tensor->data;
  }
  int64_t panels = spec.nPadded / spec.columns;
  int64_t panelBytes = spec.bytesPerExpert() / panels;
  int64_t count = (end - begin) * panels;
  auto check = [&](int64_t item, char *text, size_t size) {
    return moe_pack_check_panel(&plan, tensors.data(), firsts.data(),
                                begin + item / panels, item % panels, text,
                                size);
  };
  std::atomic<int64_t> bad(count);
  if (spec.isBlocks())
    parallelFor(count, [&](int64_t item) {
      int64_t first = bad;
      if (item < first && check(item, nullptr, 0))
        while (item < first && !bad.compare_exchange_weak(first, item))
          ;
    });
  if (bad < count) {
    char text[256];
    check(bad, text, sizeof(text));
    error = text;
    return false;
  }
  parallelFor(count, [&](int64_t item) {
    moe_pack_panel(&plan, tensors.data(), firsts.data(), begin + item / panels,
                   item % panels,
                   static_cast<char *>(out) + item * panelBytes);
  });
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
  if (!packed.data) {
    error = "no memory for " + text(spec.numBytes()) + " bytes of packed "
            "weights";
    return false;
  }
  int64_t batch = packBatch(spec);
  for (int64_t begin = 0; begin < spec.experts; begin += batch)
    if (!packExperts(spec, lookup, begin, std::min(begin + batch, spec.experts),
                     packed.dataAs<char>() + begin * spec.bytesPerExpert(),
                     error, fill))
      return false;
  return true;
}
