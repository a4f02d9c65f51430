//===- Manifest.cpp - What an artifact contains ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// JSON to structs. Every value is checked where it is read, and a message says
// at which key.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Artifact/Manifest.h"
#include "ManifestReader.h"
#include "moe-mlir/Artifact/ContentId.h"
#include "moe-mlir/Checkpoint/ConfigText.h"
#include "moe-mlir/Checkpoint/TensorExpression.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <set>

using namespace moe;
using moe::detail::Reader;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Descriptions
//===----------------------------------------------------------------------===//

bool ArgumentDesc::isDynamic() const {
  return llvm::any_of(shape, [](const DimDesc &d) { return d.isDynamic(); });
}

std::string ArgumentDesc::describe() const {
  std::string text = std::string(dtypeName(dtype)) + '[';
  for (size_t i = 0; i < shape.size(); ++i) {
    text += i ? "x" : "";
    text += shape[i].isDynamic() ? shape[i].name
                                 : std::to_string(shape[i].size);
  }
  return text + ']';
}

std::vector<int64_t>
FunctionDesc::resolve(const ArgumentDesc &value,
                      const std::vector<int64_t> &sizeValues) const {
  std::vector<int64_t> shape;
  for (const DimDesc &dim : value.shape) {
    size_t index = llvm::find(sizes, dim.name) - sizes.begin();
    shape.push_back(dim.isDynamic() ? sizeValues[index] : dim.size);
  }
  return shape;
}

std::vector<PackTensor> FunctionDesc::getWeights() const {
  std::vector<PackTensor> weights;
  std::set<std::string> seen;
  auto add = [&](PackTensor tensor) {
    if (seen.insert(tensor.name).second)
      weights.push_back(std::move(tensor));
  };
  for (const ArgumentDesc &argument : arguments) {
    if (argument.packed) {
      for (const PackSource &source : argument.packed->sources)
        for (PackTensor &tensor : source.getTensors())
          add(std::move(tensor));
    } else if (!argument.isDynamic()) {
      add({argument.name, resolve(argument, {}), argument.dtype, {}});
    }
  }
  return weights;
}

const TargetDesc *Manifest::findTarget(std::string_view name) const {
  for (const TargetDesc &target : targets)
    if (target.name == name)
      return &target;
  return nullptr;
}

/// Those whose layout the arguments of `function` are in.
static std::vector<std::string>
getOwnTargets(const FunctionDesc &function,
              const std::vector<TargetDesc> &targets) {
  std::vector<std::string> names;
  for (const TargetDesc &target : targets)
    if (llvm::none_of(function.layouts, [&](const LayoutDesc &layout) {
          return llvm::is_contained(layout.targets, target.name);
        }))
      names.push_back(target.name);
  return names;
}

bool Manifest::selectTarget(std::string_view name, std::string &error) {
  if (!findTarget(name)) {
    error = "has no code for '" + std::string(name) + "'; there is for: ";
    for (const TargetDesc &target : targets)
      error += (&target == targets.data() ? "" : ", ") + target.name;
    return false;
  }
  for (FunctionDesc &function : functions)
    for (LayoutDesc &layout : function.layouts)
      if (llvm::is_contained(layout.targets, name)) {
        std::swap(function.arguments, layout.arguments);
        std::swap(function.plans, layout.plans);
        layout.targets = getOwnTargets(function, targets);
        break;
      }
  return true;
}

const FunctionDesc *Manifest::find(std::string_view name) const {
  for (const FunctionDesc &function : functions)
    if (function.name == name)
      return &function;
  return nullptr;
}

const FunctionDesc *Manifest::select(std::string_view name,
                                     std::string &error) const {
  if (name.empty() && functions.size() == 1)
    return &functions.front();
  if (const FunctionDesc *found = find(name))
    return found;
  error = name.empty() ? "which function? choose one with --entry="
                       : "no function '" + std::string(name) + "'";
  error += "; there are: ";
  constexpr size_t shown = 16;
  for (size_t i = 0; i < functions.size() && i < shown; ++i)
    error += (i ? ", " : "") + functions[i].name;
  if (functions.size() > shown)
    error += ", ... (" + std::to_string(functions.size()) + " in all)";
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

namespace {

bool parseArgument(Reader &reader, const json::Value &value,
                   const std::string &path, const FunctionDesc &function,
                   ArgumentDesc &argument) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseDim = [&](const json::Value &dim, const std::string &dimPath) {
    DimDesc &desc = argument.shape.emplace_back();
    auto name = dim.getAsString();
    if (!name)
      return reader.integer(dim, dimPath, desc.size);
    desc.name = name->str();
    return llvm::is_contained(function.sizes, desc.name) ||
           reader.fail(dimPath, "'" + desc.name +
                                    "' is not one of the function's sizes");
  };
  if (!reader.string(*object, path, "name", argument.name) ||
      !reader.dtype(*object, path, argument.dtype) ||
      !reader.array(*object, path, "shape", parseDim))
    return false;
  std::vector<int64_t> staticSizes;
  for (const DimDesc &dim : argument.shape)
    if (!dim.isDynamic())
      staticSizes.push_back(dim.size);
  int64_t bytes;
  if (!checkedByteSize(staticSizes, dtypeSize(argument.dtype), bytes))
    return reader.fail(path + ".shape", "its size overflows");
  const json::Value *packed = object->get("packed");
  if (!packed || packed->getAsNull())
    return true;
  argument.packed.emplace();
  if (!detail::parsePackSpec(reader, *packed, path + ".packed",
                             *argument.packed))
    return false;
  bool isBytes = argument.dtype == DType::U8 && argument.shape.size() == 1 &&
                 !argument.isDynamic() &&
                 argument.shape[0].size == argument.packed->numBytes();
  return isBytes ||
         reader.fail(path, "packed weights of " +
                               std::to_string(argument.packed->numBytes()) +
                               " bytes, but the argument is " +
                               argument.describe());
}

bool parseCheckpoint(Reader &reader, const json::Object &object,
                     const std::string &path, FunctionDesc &function) {
  const json::Value *value = object.get("checkpoint");
  if (!value)
    return true;
  const json::Object *weights = value->getAsObject();
  if (!weights)
    return reader.fail(path + ".checkpoint", "expected an object");
  for (const auto &weight : *weights) {
    std::string name = llvm::StringRef(weight.first).str(), problem;
    auto text = weight.second.getAsString();
    if (!text)
      problem = "expected a string";
    else
      (void)TensorExpression::parse(*text, problem);
    if (!problem.empty())
      return reader.fail(path + ".checkpoint." + name, problem);
    function.checkpoint[name] = text->str();
  }
  return true;
}

/// Arguments as other targets want them: the same ones, packed in another way.
bool parseLayout(Reader &reader, const json::Value &value,
                 const std::string &path, const FunctionDesc &function,
                 LayoutDesc &layout) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  auto parseTarget = [&](const json::Value &name, const std::string &at) {
    auto text = name.getAsString();
    if (!text)
      return reader.fail(at, "expected a string");
    layout.targets.push_back(text->str());
    return true;
  };
  auto parseOne = [&](const json::Value &item, const std::string &at) {
    return parseArgument(reader, item, at, function,
                         layout.arguments.emplace_back());
  };
  if (!reader.array(*object, path, "targets", parseTarget) ||
      !reader.identifier(*object, path, "plans", layout.plans) ||
      !reader.array(*object, path, "arguments", parseOne))
    return false;
  bool isSame =
      llvm::equal(layout.arguments, function.arguments,
                  [](const ArgumentDesc &a, const ArgumentDesc &b) {
                    return a.name == b.name &&
                           a.packed.has_value() == b.packed.has_value() &&
                           (a.packed || a.describe() == b.describe());
                  });
  return isSame || reader.fail(path + ".arguments",
                               "are not the function's, packed or as they are");
}

/// For people; but it has to be what it looks like.
bool parseWorkspace(Reader &reader, const json::Object &function,
                    const std::string &path) {
  const json::Value *value = function.get("workspace");
  if (!value)
    return true;
  const json::Object *targets = value->getAsObject();
  if (!targets)
    return reader.fail(path + ".workspace", "expected an object");
  for (const auto &target : *targets) {
    auto parseRow = [&](const json::Value &row, const std::string &rowPath) {
      const json::Array *pair = row.getAsArray();
      int64_t number;
      if (!pair || pair->size() != 2)
        return reader.fail(rowPath, "expected a size and its bytes");
      return reader.integer((*pair)[0], rowPath, number) &&
             reader.integer((*pair)[1], rowPath, number);
    };
    if (!reader.array(*targets, path + ".workspace", target.first, parseRow))
      return false;
  }
  return true;
}

bool parseFunction(Reader &reader, const json::Value &value,
                   const std::string &path, FunctionDesc &function) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  if (!reader.identifier(*object, path, "name", function.name) ||
      !reader.identifier(*object, path, "symbol", function.symbol, false) ||
      !reader.string(*object, path, "model", function.model, false) ||
      !reader.identifier(*object, path, "alias_of", function.aliasOf, false) ||
      !reader.identifier(*object, path, "invoke", function.invoke, false) ||
      !reader.identifier(*object, path, "variant", function.variant, false) ||
      !reader.identifier(*object, path, "variant_on", function.variantOn,
                         false))
    return false;
  if (function.symbol.empty())
    function.symbol = function.name;
  if (object->get("layer")) {
    function.layer.emplace();
    if (!reader.integer(*object, path, "layer", *function.layer))
      return false;
  }
  bool isAlias = !function.aliasOf.empty();
  auto parseSize = [&](const json::Value &size, const std::string &sizePath) {
    auto name = size.getAsString();
    if (!name || !Reader::isIdentifier(*name) ||
        llvm::is_contained(function.sizes, *name))
      return reader.fail(sizePath, "expected a name that is not there yet");
    function.sizes.push_back(name->str());
    return true;
  };
  if (!reader.array(*object, path, "sizes", parseSize, !isAlias))
    return false;
  for (bool isResult : {false, true}) {
    std::set<std::string> names;
    auto &list = isResult ? function.results : function.arguments;
    auto parseOne = [&](const json::Value &item, const std::string &itemPath) {
      list.emplace_back();
      return parseArgument(reader, item, itemPath, function, list.back()) &&
             (names.insert(list.back().name).second ||
              reader.fail(itemPath, "a second '" + list.back().name + "'"));
    };
    if (!reader.array(*object, path, isResult ? "results" : "arguments",
                      parseOne, !isAlias))
      return false;
  }
  auto parseOneLayout = [&](const json::Value &item, const std::string &at) {
    return parseLayout(reader, item, at, function,
                       function.layouts.emplace_back());
  };
  return reader.array(*object, path, "layouts", parseOneLayout, false) &&
         parseCheckpoint(reader, *object, path, function) &&
         parseWorkspace(reader, *object, path);
}

bool parseTarget(Reader &reader, const json::Value &value,
                 const std::string &path, TargetDesc &target) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return reader.fail(path, "expected an object");
  int64_t needs = 0;
  if (!reader.string(*object, path, "name", target.name) ||
      !reader.string(*object, path, "platform", target.platform) ||
      !reader.integer(*object, path, "needs", needs) ||
      !reader.boolean(*object, path, "narrows_rows", target.narrowsRows) ||
      !reader.string(*object, path, "activations", target.activations,
                     /*isRequired=*/false) ||
      !reader.string(*object, path, "device", target.device,
                     /*isRequired=*/false))
    return false;
  target.needs = needs;
  auto parseModels = [&](const json::Value &pair, const std::string &pairPath) {
    const json::Array *ends = pair.getAsArray();
    auto first =
        ends && ends->size() == 2 ? (*ends)[0].getAsUINT64() : std::nullopt;
    auto last = first ? (*ends)[1].getAsUINT64() : std::nullopt;
    if (!last || *last < *first)
      return reader.fail(pairPath, "expected the first and the last of models");
    target.models.push_back({*first, *last});
    return true;
  };
  return reader.array(*object, path, "models", parseModels,
                      /*isRequired=*/false);
}

/// What an alias does not say is what the function behind it says.
bool resolveAlias(Reader &reader, Manifest &manifest, FunctionDesc &function,
                  const std::string &path) {
  if (!function.aliasOf.empty()) {
    const FunctionDesc *target = manifest.find(function.aliasOf);
    if (!target || !target->aliasOf.empty())
      return reader.fail(path + ".alias_of",
                         "'" + function.aliasOf +
                             "' is not a function with code of its own");
    if (function.arguments.empty() && function.results.empty()) {
      function.sizes = target->sizes;
      function.arguments = target->arguments;
      function.results = target->results;
      function.layouts = target->layouts;
    }
    if (function.invoke.empty())
      function.invoke = target->invoke;
    if (function.variant.empty())
      function.variant = target->variant;
    if (function.variantOn.empty())
      function.variantOn = target->variantOn;
  }
  if (function.invoke.empty())
    function.invoke = function.symbol + "__invoke";
  function.plans = function.symbol + "__plans";
  return true;
}

} // namespace

bool moe::parseManifest(std::string_view text, const std::string &where,
                        Manifest &manifest, std::string &error) {
  constexpr int deepest = 64;
  if (isNestedDeeper(llvm::StringRef(text.data(), text.size()), deepest)) {
    error = where + ": nested too deeply for a manifest";
    return false;
  }
  auto value = json::parse(llvm::StringRef(text.data(), text.size()));
  if (!value) {
    error = where + ": " + llvm::toString(value.takeError());
    return false;
  }
  Reader reader(where, error);
  const json::Object *object = value->getAsObject();
  if (!object)
    return reader.fail("top level", "expected an object");
  int64_t version = 0;
  if (!reader.integer(*object, "manifest", "version", version))
    return false;
  if (version != Manifest::currentVersion)
    return reader.fail("version", std::to_string(version) +
                                      " is not supported (expected " +
                                      std::to_string(Manifest::currentVersion) +
                                      "); compile the model again");
  int64_t abi = 1;
  if (!reader.integer(*object, "manifest", "abi", abi, false))
    return false;
  if (abi != Manifest::currentAbi)
    return reader.fail("abi",
                       "the code is for version " + std::to_string(abi) +
                           " of the runtime's interface, and this is version " +
                           std::to_string(Manifest::currentAbi) +
                           "; run moe-compile again");
  Manifest parsed;
  auto parseOne = [&](const json::Value &item, const std::string &path) {
    FunctionDesc function;
    if (!parseFunction(reader, item, path, function))
      return false;
    if (parsed.find(function.name))
      return reader.fail(path, "a second function '" + function.name + "'");
    parsed.functions.push_back(std::move(function));
    return true;
  };
  auto parseTargets = [&](const json::Value &item, const std::string &path) {
    return parseTarget(reader, item, path, parsed.targets.emplace_back());
  };
  auto parseExtension = [&](const json::Value &item, const std::string &path) {
    auto text = item.getAsString();
    if (!text)
      return reader.fail(path, "expected a string");
    parsed.extensions.push_back(text->str());
    return true;
  };
  if (!reader.array(*object, "", "functions", parseOne) ||
      !reader.array(*object, "", "targets", parseTargets, false) ||
      !reader.string(*object, "manifest", "pass_pipeline", parsed.passPipeline,
                     false) ||
      !reader.string(*object, "manifest", "activations", parsed.activations,
                     false) ||
      !reader.array(*object, "", "extensions", parseExtension, false) ||
      !reader.string(*object, "manifest", "id", parsed.id, false))
    return false;
  parsed.contentId = manifestId(*object);
  // Targets of aliases first, so that aliases see finished functions.
  for (bool wantAlias : {false, true})
    for (size_t i = 0; i < parsed.functions.size(); ++i)
      if (parsed.functions[i].aliasOf.empty() != wantAlias &&
          !resolveAlias(reader, parsed, parsed.functions[i],
                        "functions[" + std::to_string(i) + "]"))
        return false;
  manifest = std::move(parsed);
  return true;
}

bool moe::readManifest(const std::string &path, Manifest &manifest,
                       std::string &error) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer) {
    error = path + ": cannot read: " + buffer.getError().message();
    return false;
  }
  llvm::StringRef text = (*buffer)->getBuffer();
  if (!parseManifest({text.data(), text.size()}, path, manifest, error))
    return false;
  if (manifest.id == manifest.contentId)
    return true;
  error = path + ": its id is not that of its contents; a manifest is not for "
                 "editing, compile the model again";
  return false;
}
