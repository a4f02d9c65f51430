//===- PackedWeights.cpp - The file of packed weights ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Streams expert after expert through one buffer into the file.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/PackedWeights.h"
#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Runtime/moe_rt.h"
#include "moe-mlir/Support/TensorIO.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <string_view>

using namespace moe;

/// What the metadata of a file of packed weights says under "format", with the
/// number of the interface they are for behind it.
static constexpr std::string_view formatName = "moe-packed-";

static std::string currentFormat() {
  return std::string(formatName) + std::to_string(MOE_RT_ABI);
}

bool TensorPool::addFile(const std::string &path, std::string &error) {
  TensorMetadata own;
  if (!readTensors(path, tensors, error, &own))
    return false;
  auto format = own.find("format");
  if (format != own.end() &&
      format->second.compare(0, formatName.size(), formatName) == 0 &&
      format->second != currentFormat()) {
    error = path + ": packed weights of another version ('" + format->second +
            "', and this is '" + currentFormat() + "'); run moe-pack again";
    return false;
  }
  texts.merge(own);
  return true;
}

const HostTensor *TensorPool::find(const std::string &function,
                                   const std::string &name) const {
  std::string own = function + "/" + name;
  const HostTensor *shared = nullptr;
  for (const HostTensor &tensor : tensors) {
    if (tensor.name == own)
      return &tensor;
    if (!shared && tensor.name == name)
      shared = &tensor;
  }
  return shared;
}

namespace {

/// The sources of one packed argument.
TensorPool collectSources(const FunctionDesc &function, const PackSpec &spec,
                          const TensorSource &source) {
  TensorPool sources;
  for (const PackSource &from : spec.sources)
    for (const PackTensor &item : from.getTensors()) {
      std::optional<HostTensor> tensor =
          source(function, item.name, item.dtype, item.shape);
      if (!tensor)
        continue; // Packing complains.
      tensor->name = item.name;
      sources.add(std::move(*tensor));
    }
  return sources;
}

TensorFill bindFill(const FunctionDesc &function, const FunctionFill &fill) {
  return [&](HostTensor &part, uint64_t first, const StoredGroup *stored) {
    fill(function, part, first, stored);
  };
}

/// Writes one packed argument; `written` is told of the bytes.
bool writePacked(SafetensorsWriter &writer, const FunctionDesc &function,
                 const PackSpec &spec, const TensorSource &source,
                 const FunctionFill &fill, HostTensor &buffer,
                 std::string &error,
                 const std::function<void(uint64_t)> &written) {
  TensorPool sources = collectSources(function, spec, source);
  auto lookup = [&](const std::string &name) { return sources.find("", name); };
  if (!checkPackSources(spec, lookup, error))
    return false;
  int64_t perExpert = spec.bytesPerExpert(), batch = packBatch(spec);
  // An expert that is a tensor of its own need not be copied to be packed, and
  // a large one is work enough.
  constexpr int64_t largeExpert = 1 << 20;
  auto isInParts = [](const HostTensor &tensor) { return !tensor.data; };
  if (perExpert >= largeExpert && llvm::any_of(sources.all(), isInParts))
    batch = 1;
  if (!buffer.data || buffer.shape[0] < batch * perExpert)
    buffer = HostTensor::allocate(DType::U8, {batch * perExpert});
  for (int64_t begin = 0; begin < spec.experts; begin += batch) {
    int64_t end = std::min(begin + batch, spec.experts);
    if (!buffer.data) {
      error = "no memory for a buffer of " + std::to_string(batch * perExpert) +
              " bytes";
      return false;
    }
    if (!packExperts(spec, lookup, begin, end, buffer.data, error,
                     bindFill(function, fill)))
      return false;
    if (!writer.append(buffer.data, (end - begin) * perExpert, error))
      return false;
    written((end - begin) * perExpert);
  }
  // What is mapped has been read: the next argument is of other tensors.
  for (const HostTensor &tensor : sources.all())
    if (tensor.data)
      forgetRead(tensor.data, tensor.numBytes());
  return true;
}

} // namespace

bool moe::packArgument(const FunctionDesc &function,
                       const ArgumentDesc &argument, const TensorSource &source,
                       const FunctionFill &fill, HostTensor &packed,
                       std::string &error) {
  TensorPool sources = collectSources(function, *argument.packed, source);
  auto lookup = [&](const std::string &name) { return sources.find("", name); };
  if (!pack(*argument.packed, lookup, packed, error, bindFill(function, fill)))
    return false;
  packed.name = argument.name;
  return true;
}

bool moe::writePackedWeights(OutputSet &outputs, const std::string &path,
                             const Manifest &manifest,
                             const std::vector<const FunctionDesc *> &functions,
                             const TensorSource &source,
                             const FunctionFill &fill, std::string &error,
                             const ProgressFn &progress, bool fromCheckpoint) {
  struct Item {
    const FunctionDesc *function;
    const ArgumentDesc *argument;
    std::vector<int64_t> shape;
  };
  std::vector<Item> items;
  std::vector<SafetensorsWriter::Entry> entries;
  std::vector<std::pair<std::string, std::string>> metadata = {
      {"format", currentFormat()}};
  for (const FunctionDesc *function : functions) {
    std::string prefix =
        manifest.functions.size() == 1 ? "" : function->name + "/";
    for (const ArgumentDesc &argument : function->arguments) {
      if (argument.isDynamic())
        continue; // An activation, not a weight.
      items.push_back({function, &argument, function->resolve(argument, {})});
      entries.push_back(
          {prefix + argument.name, argument.dtype, items.back().shape});
      if (argument.packed)
        metadata.emplace_back(layoutKey(entries.back().name),
                              layoutId(*argument.packed));
      std::string sources = describeSources(*function, argument);
      if (fromCheckpoint && !sources.empty())
        metadata.emplace_back(sourceKey(entries.back().name), sources);
    }
  }
  uint64_t done = 0, total = 0;
  for (const SafetensorsWriter::Entry &entry : entries) {
    uint64_t bytes = dtypeSize(entry.dtype);
    for (int64_t size : entry.shape)
      bytes *= size;
    total += bytes;
  }
  auto written = [&](uint64_t bytes) {
    done += bytes;
    if (progress)
      progress(done, total, "");
  };
  SafetensorsWriter writer;
  if (!writer.open(outputs, path, std::move(entries), error,
                   /*dataAlignment=*/4096,
                   /*tensorAlignment=*/MOE_ALIGNMENT, metadata))
    return false;
  HostTensor buffer;
  for (const Item &item : items) {
    std::string where = "function '" + item.function->name + "': ";
    if (item.argument->packed) {
      if (!writePacked(writer, *item.function, *item.argument->packed, source,
                       fill, buffer, error, written)) {
        error = where + error;
        return false;
      }
      continue;
    }
    std::optional<HostTensor> tensor = source(
        *item.function, item.argument->name, item.argument->dtype, item.shape);
    if (!tensor || tensor->dtype != item.argument->dtype ||
        tensor->shape != item.shape) {
      error = where + "tensor '" + item.argument->name + "' is " +
              (tensor ? tensor->describe() : "missing") + ", expected " +
              item.argument->describe();
      return false;
    }
    if (!tensor->data) {
      *tensor =
          HostTensor::allocate(tensor->dtype, tensor->shape, tensor->name);
      if (tensor->data)
        fill(*item.function, *tensor, 0, nullptr);
    }
    if (!tensor->data) {
      error = where + "no memory for tensor '" + tensor->name + "', " +
              tensor->describe();
      return false;
    }
    if (!writer.write(*tensor, error))
      return false;
    written(tensor->numBytes());
  }
  return writer.close(error);
}
