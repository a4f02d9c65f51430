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
  return dtype == DType::BF16  ? MOE_BF16
         : dtype == DType::F16 ? MOE_F16
                               : MOE_F32;
}

PackPlan::PackPlan(const PackSpec &spec) {
  std::map<std::string, int64_t> numbers;
  for (const PackSource &from : spec.sources) {
    auto [it, isNew] = numbers.try_emplace(
        from.name, static_cast<int64_t>(tensors.size()));
    if (isNew)
      tensors.push_back({from.name.c_str(), getRuntimeType(from.dtype),
                         static_cast<int32_t>(from.shape.size()),
                         from.shape.data(), nullptr});
    moe_pack_source to{it->second,   from.part,   from.firstExpert,
                       from.firstN,  from.firstK, from.view.offset,
                       {}, {}};
    std::copy(from.view.sizes.begin(), from.view.sizes.end(), to.sizes);
    std::copy(from.view.strides.begin(), from.view.strides.end(), to.strides);
    sources.push_back(to);
  }
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

bool moe::checkPackSources(const PackSpec &spec, const TensorLookup &lookup,
                           std::string &error) {
  if (!spec.verify(error))
    return false;
  for (const PackSource &source : spec.sources) {
    const HostTensor *tensor = lookup(source.name);
    bool isConvertible =
        tensor &&
        (tensor->dtype == DType::F32 || tensor->dtype == DType::BF16 ||
         tensor->dtype == DType::F16);
    if (isConvertible && withoutLeadingOnes(tensor->shape) ==
                             withoutLeadingOnes(source.shape))
      continue;
    error = "tensor '" + source.name + "' is " +
            (tensor ? tensor->describe() : "missing") + ", expected " +
            describeType(source.dtype, source.shape) +
            " (f32, bf16 or f16 elements)";
    return false;
  }
  return true;
}

/// Makes the elements of `tensor`, number `index` of the plan, that experts
/// [begin, end) need, if any, and sets `first` to the first of them.
static std::optional<HostTensor>
fillNeeded(const moe_pack_plan &plan, int64_t index, const HostTensor &tensor,
           int64_t begin, int64_t end, const TensorFill &fill,
           int64_t &first) {
  int64_t low = tensor.numElements(), high = 0;
  for (int64_t s = 0; s < plan.num_sources; ++s) {
    const moe_pack_source &source = plan.sources[s];
    int64_t from = std::max(begin, source.first_expert);
    int64_t to = std::min(end, source.first_expert + source.sizes[0]);
    if (source.tensor != index || from >= to)
      continue;
    int64_t element =
        source.offset + (from - source.first_expert) * source.strides[0];
    low = std::min(low, element);
    element += (to - 1 - from) * source.strides[0];
    for (int d : {1, 2})
      element += (source.sizes[d] - 1) * source.strides[d];
    high = std::max(high, element + 1);
  }
  if (low >= high)
    return std::nullopt;
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
    fill(part, static_cast<uint64_t>(first));
  return part;
}

bool moe::packExperts(const PackSpec &spec, const TensorLookup &lookup,
                      int64_t begin, int64_t end, void *out,
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
      made = fillNeeded(plan, static_cast<int64_t>(i), *tensor, begin, end,
                        fill, firsts[i]);
      if (!made)
        continue;
      if (!made->data)
        return false;
      filled.push_back(*made);
      tensor = &*made;
    }
    tensors[i].dtype = getRuntimeType(tensor->dtype);
    tensors[i].data = tensor->data;
  }
  int64_t panels = spec.nPadded / spec.columns;
  int64_t panelBytes = spec.bytesPerExpert() / panels;
  parallelFor((end - begin) * panels, [&](int64_t item) {
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
