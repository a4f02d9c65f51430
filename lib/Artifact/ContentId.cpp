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

std::string moe::layoutId(const PackSpec &spec) {
  json::Array sources;
  for (const PackSource &source : spec.sources) {
    // Not the type that the model stores: packing converts it.
    json::Array entry{source.name,        source.part,
                      source.firstExpert, json::Array(source.shape),
                      source.firstRow,    source.rows,
                      source.firstColumn, source.columns};
    // Files of before there was this keep their ids.
    if (source.matrices)
      for (int64_t number : {source.firstMatrix, source.matrices})
        entry.push_back(number);
    sources.push_back(std::move(entry));
  }
  json::Value all =
      json::Array{spec.layout,  spec.columns,          spec.interleave,
                  spec.kBlock,  spec.kPadded,          spec.nPadded,
                  spec.experts, dtypeName(spec.dtype), std::move(sources)};
  if (spec.parts != 1)
    all.getAsArray()->push_back(spec.parts);
  return hashBytes(llvm::formatv("{0}", all).str());
}

std::string moe::layoutKey(const std::string &tensorName) {
  return "layout." + tensorName;
}
