//===- Manifest.cpp - What an artifact contains -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The .json file: `moe.interfaces` as JSON, with aliases and targets.
//
//===----------------------------------------------------------------------===//

#include "Internal.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
namespace json = llvm::json;

static json::Value toJSON(mlir::Attribute attr) {
  if (auto dict = mlir::dyn_cast<mlir::DictionaryAttr>(attr)) {
    json::Object object;
    for (mlir::NamedAttribute entry : dict)
      object[entry.getName().getValue()] = toJSON(entry.getValue());
    return object;
  }
  if (auto array = mlir::dyn_cast<mlir::ArrayAttr>(attr)) {
    json::Array values;
    for (mlir::Attribute value : array)
      values.push_back(toJSON(value));
    return values;
  }
  if (auto string = mlir::dyn_cast<mlir::StringAttr>(attr))
    return string.getValue();
  if (auto integer = mlir::dyn_cast<mlir::IntegerAttr>(attr))
    return integer.getInt();
  return nullptr;
}

std::string compiler::buildManifest(const ArtifactInfo &info) {
  json::Array functions;
  llvm::StringMap<json::Object> byName;
  for (auto [i, attr] : llvm::enumerate(info.interfaces)) {
    json::Object function = *toJSON(attr).getAsObject();
    // Variants differ in what they need beside their arguments.
    json::Object workspace;
    for (const Variant &variant : info.variants)
      workspace[variant.target] =
          toJSON(mlir::cast<mlir::DictionaryAttr>(variant.interfaces[i])
                     .get("workspace"));
    function["workspace"] = std::move(workspace);
    byName[*function.getString("name")] = function;
    functions.push_back(std::move(function));
  }
  for (const Alias &alias : info.aliases) {
    json::Object function = byName[alias.of];
    function["name"] = alias.name;
    function["invoke"] = alias.name + "__invoke";
    function["alias_of"] = alias.of;
    if (alias.layer)
      function["layer"] = *alias.layer;
    else
      function.erase("layer");
    functions.push_back(std::move(function));
  }
  json::Array targets;
  for (const Variant &variant : info.variants)
    targets.push_back(variant.target);
  json::Object root{{"version", 1},
                    {"functions", std::move(functions)},
                    {"targets", std::move(targets)}};
  std::string text;
  llvm::raw_string_ostream(text)
      << llvm::formatv("{0:2}", json::Value(std::move(root))) << "\n";
  return text;
}
