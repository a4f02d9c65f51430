//===- ContentId.cpp - Which files belong together --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The beginning of a SHA-256. Objects print their members in order.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/ContentId.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SHA256.h"

#include <optional>
#include <set>

using namespace moe;
namespace json = llvm::json;

std::string moe::hashBytes(std::string_view bytes) {
  llvm::SHA256 hash;
  hash.update(llvm::StringRef(bytes.data(), bytes.size()));
  std::array<uint8_t, 32> all = hash.final();
  return llvm::toHex(llvm::ArrayRef(all).take_front(16), /*LowerCase=*/true);
}

std::string moe::manifestId(const json::Object &manifest) {
  json::Object rest = manifest;
  rest.erase("id");
  return hashBytes(llvm::formatv("{0}", json::Value(std::move(rest))).str());
}

/// Rows, columns and experts of a tensor of matrices: the form of views that
/// ids began with. Files that were packed then keep their ids by it.
struct Cut {
  int64_t firstRow = 0, rows = 0, firstColumn = 0, columns = 0;
  int64_t firstMatrix = 0, matrices = 0;
};

static std::optional<Cut> getCut(const PackSource &source) {
  size_t rank = source.shape.size();
  if ((rank != 2 && rank != 3) || source.firstN || source.firstK)
    return std::nullopt;
  std::array<int64_t, 3> first, whole = PackView::whole(source.shape).sizes;
  const std::array<int64_t, 3> &sizes = source.view.sizes;
  int64_t stride = 1, rest = source.view.offset;
  for (int d : {2, 1, 0}) {
    first[d] = rest % whole[d];
    rest /= whole[d];
    if ((sizes[d] != 1 && source.view.strides[d] != stride) ||
        sizes[d] > whole[d] - first[d])
      return std::nullopt;
    stride *= whole[d];
  }
  Cut cut;
  if (sizes[1] != whole[1] || sizes[2] != whole[2]) {
    cut.firstRow = first[1];
    cut.rows = sizes[1];
    cut.firstColumn = first[2];
    cut.columns = sizes[2];
  }
  if (sizes[0] != whole[0]) {
    cut.firstMatrix = first[0];
    cut.matrices = sizes[0];
  }
  return cut;
}

std::string moe::layoutId(const PackSpec &spec) {
  json::Array sources;
  for (const PackSource &source : spec.sources) {
    // Not the type that the model stores: packing converts it.
    json::Array entry{source.name, source.part, source.firstExpert,
                      json::Array(source.shape)};
    for (const PackTensor &tensor : source.storage) {
      json::Array own{tensor.name, dtypeSize(tensor.dtype)};
      if (const std::optional<moe_pack_order> &order = tensor.order) {
        for (int64_t number : {order->bits, order->width, order->first})
          own.push_back(number);
        for (const auto *digits : {&order->rows, &order->places})
          for (const moe_pack_digit &digit : *digits)
            own.push_back(json::Array{digit.weight, digit.size, digit.stride});
      }
      entry.push_back(std::move(own));
    }
    auto add = [&](std::initializer_list<int64_t> numbers) {
      for (int64_t number : numbers)
        entry.push_back(number);
    };
    const PackView &view = source.view;
    if (std::optional<Cut> cut = getCut(source)) {
      add({cut->firstRow, cut->rows, cut->firstColumn, cut->columns});
      if (cut->matrices)
        add({cut->firstMatrix, cut->matrices});
    } else {
      add({source.firstN, source.firstK, view.offset});
      for (const std::array<int64_t, 3> *list : {&view.sizes, &view.strides})
        entry.push_back(json::Array(*list));
    }
    sources.push_back(std::move(entry));
  }
  json::Value all =
      json::Array{spec.layout,  spec.columns,          spec.interleave,
                  spec.kBlock,  spec.kPadded,          spec.nPadded,
                  spec.experts, dtypeName(spec.dtype), std::move(sources)};
  // What made-up numbers are like does not matter.
  for (const PackStorage &tensor : spec.storage)
    all.getAsArray()->push_back(
        json::Array{tensor.bytes, tensor.rows, tensor.blocks});
  for (const PackField &field : spec.fields)
    all.getAsArray()->push_back(
        json::Array{field.storage, field.offset, field.bytes, field.unit});
  if (spec.parts != 1)
    all.getAsArray()->push_back(spec.parts);
  return hashBytes(llvm::formatv("{0}", all).str());
}

std::string moe::layoutKey(const std::string &tensorName) {
  return "layout." + tensorName;
}

std::string moe::sourceKey(const std::string &tensorName) {
  return "source." + tensorName;
}

std::string moe::describeSources(const FunctionDesc &function,
                                 const ArgumentDesc &argument) {
  std::string text;
  std::set<std::string> seen;
  if (argument.packed)
    for (const PackSource &source : argument.packed->sources)
      for (const PackTensor &tensor : source.getTensors()) {
        auto said = function.checkpoint.find(tensor.name);
        if (said != function.checkpoint.end() &&
            seen.insert(tensor.name).second)
          text +=
              (text.empty() ? "" : "; ") + tensor.name + " = " + said->second;
      }
  return text;
}
