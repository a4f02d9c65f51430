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
#include "moe-mlir/Artifact/ContentId.h"

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
  if (auto number = mlir::dyn_cast<mlir::FloatAttr>(attr))
    return number.getValueAsDouble();
  return nullptr;
}

json::Object compiler::buildManifest(const ArtifactInfo &info) {
  json::Array functions;
  llvm::StringMap<json::Object> byName;
  for (auto [i, attr] : llvm::enumerate(info.interfaces)) {
    json::Object function = *toJSON(attr).getAsObject();
    // Variants differ in what they need beside their arguments.
    for (const char *key : {"workspace", "workspace_growth"}) {
      json::Object byTarget;
      for (const Variant &variant : info.variants)
        if (mlir::Attribute value =
                mlir::cast<mlir::DictionaryAttr>(variant.interfaces[i])
                    .get(key))
          byTarget[variant.target] = toJSON(value);
      if (!byTarget.empty())
        function[key] = std::move(byTarget);
    }
    std::string symbol = function.getString("name")->str();
    function["symbol"] = symbol;
    json::Array layouts;
    for (const Variant &variant : info.variants) {
      if (!variant.beginsLayout(info.variants.front()))
        continue;
      json::Array names;
      for (const Variant &other : info.variants)
        if (other.layout == &variant)
          names.push_back(other.target);
      layouts.push_back(json::Object{
          {"targets", std::move(names)},
          {"plans", symbol + "__plans" + variant.code.suffix},
          {"arguments",
           toJSON(mlir::cast<mlir::DictionaryAttr>(variant.interfaces[i])
                      .get("arguments"))}});
    }
    if (!layouts.empty())
      function["layouts"] = std::move(layouts);
    if (!info.devices().empty())
      function["variant_on"] = symbol + "__variant_on";
    function["name"] = function.getString("entry")->str();
    function["variant"] = symbol + "__variant";
    function.erase("entry");
    byName[symbol] = function;
    functions.push_back(std::move(function));
  }
  for (const Alias &alias : info.aliases) {
    json::Object function = byName[alias.of];
    function["alias_of"] = function.getString("name")->str();
    function["name"] = alias.entry;
    function["symbol"] = alias.name;
    function["invoke"] = alias.name + "__invoke";
    function["variant"] = alias.name + "__variant";
    if (function.get("variant_on"))
      function["variant_on"] = alias.name + "__variant_on";
    if (alias.layer)
      function["layer"] = *alias.layer;
    else
      function.erase("layer");
    function.erase("checkpoint");
    if (alias.checkpoint)
      function["checkpoint"] = toJSON(alias.checkpoint);
    functions.push_back(std::move(function));
  }
  json::Array targets;
  for (const Variant &variant : info.variants) {
    json::Object target{{"name", variant.target},
                        {"platform", variant.code.platform.gnuTriple},
                        {"needs", static_cast<int64_t>(variant.code.needs)},
                        {"narrows_rows", variant.code.narrowsRows}};
    if (!variant.code.device.empty())
      target["device"] = variant.code.device;
    if (!variant.activations.empty())
      target["activations"] = variant.activations;
    json::Array models;
    for (const moe_cpu_models &range : variant.code.models)
      models.push_back(json::Array{range.first, range.last});
    if (!models.empty())
      target["models"] = std::move(models);
    targets.push_back(std::move(target));
  }
  std::string code;
  for (const Variant &variant : info.variants)
    code += variant.target + "=" +
            hashBytes({variant.object.data(), variant.object.size()}) + "\n";
  json::Object manifest{{"version", Manifest::currentVersion},
                        {"abi", Manifest::currentAbi},
                        {"functions", std::move(functions)},
                        {"targets", std::move(targets)},
                        {"code", hashBytes(code)}};
  if (!info.passPipeline.empty())
    manifest["pass_pipeline"] = info.passPipeline;
  if (!info.activations.empty())
    manifest["activations"] = info.activations;
  if (!info.extensions.empty())
    manifest["extensions"] = json::Array(info.extensions);
  return manifest;
}
