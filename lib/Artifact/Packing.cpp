//===- Packing.cpp - Weights in the layout of the kernels ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Plans, and whole arguments. The runtime makes the panels.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Packing.h"
#include "moe-mlir/Runtime/moe_pack_panel.h"
#include "moe-mlir/Support/Parallel.h"
#include "moe-mlir/Support/TensorIO.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>

using namespace moe;

static std::string text(int64_t value) { return std::to_string(value); }

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
  case DType::F8E8M0:
    return MOE_F8E8M0;
  default:
    return MOE_F32;
  }
}

static int64_t getRuntimeType(const PackField &field) {
  switch (field.bits.kind) {
  case StoredBits::Places:
    return MOE_PLACES;
  case StoredBits::Ascending:
    return MOE_ASCENDING | field.bits.limit << 8;
  case StoredBits::Any:
    break;
  }
  return getRuntimeType(field.dtype);
}

PackPlan::PackPlan(const PackSpec &spec) {
  bool hasOrders = false;
  // By the names of all that a source is stored in.
  std::map<std::vector<std::string>, int64_t> numbers;
  for (const PackSource &from : spec.sources) {
    auto add = [&](const std::string &name, DType dtype,
                   const std::vector<int64_t> &shape,
                   const std::optional<moe_pack_order> &order) {
      tensors.push_back({name.c_str(), getRuntimeType(dtype),
                         static_cast<int32_t>(shape.size()), shape.data(),
                         nullptr});
      orders.push_back(order.value_or(moe_pack_order{}));
      hasOrders |= order.has_value();
    };
    std::vector<std::string> names;
    for (const PackTensor &tensor : from.getTensors())
      names.push_back(tensor.name);
    auto [it, isNew] =
        numbers.try_emplace(names, static_cast<int64_t>(tensors.size()));
    if (isNew && from.storage.empty())
      add(from.name, from.dtype, from.shape, std::nullopt);
    if (isNew)
      for (const PackTensor &tensor : from.storage)
        add(tensor.name, tensor.dtype, tensor.shape, tensor.order);
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
                      getRuntimeType(field)});
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
  plan.orders = hasOrders ? orders.data() : nullptr;
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
      // Whole rows, where they are stored; whole matrices, where these are
      // anywhere in them.
      const moe_pack_matrix &matrix = plan.matrices[s];
      bool hasOrder = plan.orders && plan.orders[index].width;
      int64_t rows = hasOrder ? matrix.n : plan.storage[stored].rows;
      int64_t lines = (matrix.n + rows - 1) / rows;
      int64_t count =
          (spec.sources[s].shape.size() == 3 ? spec.sources[s].shape[0] : 1) *
          lines;
      int64_t width = tensor.numElements() / count;
      auto getLine = [&](int64_t element) {
        int64_t row = element / matrix.k;
        return row / matrix.n * lines + row % matrix.n / rows;
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
  for (const HostTensor &part : filled)
    forgetRead(part.data, part.numBytes());
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
