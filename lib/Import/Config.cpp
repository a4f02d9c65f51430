//===- Config.cpp - Typed reading of a model configuration ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Typed look-ups with messages that name the key by its full path, the
// judgement of what was not looked up, and the table of activation names.
//
//===----------------------------------------------------------------------===//

#include "Config.h"
#include "Keys.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>

using namespace moe::importer;

namespace {
/// No published model comes near; anything larger is a broken file, and the
/// bound keeps products of sizes far from overflow.
constexpr int64_t largestInteger = 1 << 20;

/// Lists of layers are as long as the model is deep.
constexpr size_t mostElements = 8192;

struct ActivationName {
  llvm::StringLiteral upstream;
  llvm::StringLiteral attribute;
};

constexpr ActivationName activationNames[] = {
    {"silu", "#moe.silu"},
    {"swish", "#moe.silu"},
    {"gelu", "#moe.gelu"},
    {"gelu_new", "#moe.gelu_tanh"},
    {"gelu_fast", "#moe.gelu_tanh"},
    {"gelu_pytorch_tanh", "#moe.gelu_tanh"},
    {"quick_gelu", "#moe.quick_gelu"},
    {"relu", "#moe.relu"},
    {"relu2", "#moe.relu2"},
    {"tanh", "#moe.tanh"},
    {"linear", "#moe.identity"},
};
} // namespace

std::string moe::importer::getActivation(llvm::StringRef name) {
  for (const ActivationName &known : activationNames)
    if (known.upstream == name)
      return known.attribute.str();
  return {};
}

std::string moe::importer::listActivations() {
  std::string names;
  for (const ActivationName &known : activationNames)
    names += (names.empty() ? "" : ", ") + known.upstream.str();
  return names;
}

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

std::string moe::importer::printable(llvm::StringRef text) {
  constexpr size_t longest = 60;
  std::string shown;
  for (char c : text.take_front(longest))
    shown += llvm::isPrint(c) ? c : '?';
  return text.size() > longest ? shown + "..." : shown;
}

std::string moe::importer::quote(const llvm::json::Value &value) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  // The default form prints 2.5 as 2.5000000000000000.
  std::optional<double> number = value.getAsNumber();
  if (number && !value.getAsInteger() && !value.getAsUINT64())
    stream << llvm::format("%g", *number);
  else
    stream << value;
  return printable(text);
}

void Config::fail(llvm::StringRef key, const llvm::Twine &message) {
  if (log.failure.empty())
    log.failure =
        ("key '" + printable(prefix + key.str()) + "' " + message).str();
}

void Config::failType(llvm::StringRef key, const llvm::Twine &expected,
                      const llvm::json::Value &value) {
  fail(key, "must be " + expected + ", but is " + quote(value));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

const llvm::json::Value *Config::find(llvm::StringRef key) {
  // Keys of GGUF files have dots of their own.
  if (const llvm::json::Value *whole = object.get(key)) {
    log.read.insert(prefix + key.str());
    return whole;
  }
  auto [first, rest] = key.split('.');
  if (!rest.empty()) {
    const llvm::json::Value *value = object.get(first);
    return value && value->kind() != llvm::json::Value::Null
               ? nested(first).find(rest)
               : nullptr;
  }
  log.read.insert(prefix + key.str());
  return object.get(key);
}

int64_t Config::integer(llvm::StringRef key, const llvm::json::Value &value,
                        int64_t least) {
  std::optional<int64_t> number = value.getAsInteger();
  if (number && *number >= least && *number <= largestInteger)
    return *number;
  failType(key,
           "an integer from " + llvm::Twine(least) + " to " +
               llvm::Twine(largestInteger),
           value);
  return std::max<int64_t>(least, 1);
}

double Config::number(llvm::StringRef key, const llvm::json::Value &value) {
  std::optional<double> number = value.getAsNumber();
  // The compiler computes in f32: what f32 cannot hold is no sensible value.
  if (number && (std::isnormal(static_cast<float>(*number)) || *number == 0.0))
    return *number;
  failType(key, "a number that f32 holds", value);
  return 1.0;
}

bool Config::flag(llvm::StringRef key, const llvm::json::Value &value) {
  if (std::optional<bool> flag = value.getAsBoolean())
    return *flag;
  failType(key, "true or false", value);
  return false;
}

std::string Config::text(llvm::StringRef key, const llvm::json::Value &value) {
  if (std::optional<llvm::StringRef> text = value.getAsString())
    return text->str();
  failType(key, "a string", value);
  return {};
}

const llvm::json::Value &Config::list(llvm::StringRef key,
                                      const llvm::json::Value &value,
                                      llvm::StringRef type) {
  static const llvm::json::Value empty = llvm::json::Array();
  auto fits = [&](const llvm::json::Value &element) {
    return type == "integers"  ? element.getAsInteger().has_value()
           : type == "numbers" ? element.getAsNumber().has_value()
                               : element.getAsString().has_value();
  };
  const llvm::json::Array *array = value.getAsArray();
  if (array && array->size() > mostElements) {
    fail(key, "has " + llvm::Twine(array->size()) + " values; the most is " +
                  llvm::Twine(mostElements));
    return empty;
  }
  if (array && llvm::all_of(*array, fits))
    return value;
  failType(key, "a list of " + type, value);
  return empty;
}

Config Config::nested(llvm::StringRef key) {
  static const llvm::json::Object empty;
  const llvm::json::Object *inner = nullptr;
  log.read.insert(prefix + key.str());
  const llvm::json::Value *value = object.get(key);
  if (value && value->kind() != llvm::json::Value::Null) {
    inner = value->getAsObject();
    if (inner)
      log.opened.insert(prefix + key.str());
    else
      failType(key, "an object", *value);
  }
  return Config(inner ? *inner : empty, log, prefix + key.str() + ".");
}

std::string Config::findActivation(llvm::StringRef key, llvm::StringRef name) {
  std::string attribute = getActivation(name);
  if (attribute.empty())
    fail(key, "names the unknown activation '" + printable(name) +
                  "' (known are " + listActivations() + ")");
  return attribute;
}

//===----------------------------------------------------------------------===//
// Keys that nobody reads
//===----------------------------------------------------------------------===//

/// The keys of an object in an order that does not depend on hashing.
static std::vector<llvm::StringRef> listKeys(const llvm::json::Object &object) {
  std::vector<llvm::StringRef> keys;
  for (const auto &entry : object)
    keys.push_back(entry.first);
  std::sort(keys.begin(), keys.end());
  return keys;
}

void Config::checkUnread() {
  for (llvm::StringRef key : listKeys(object)) {
    const llvm::json::Value &value = *object.get(key);
    std::string path = prefix + key.str();
    if (log.opened.contains(path))
      Config(*value.getAsObject(), log, path + ".").checkUnread();
    else if (!log.read.contains(path))
      checkUnread(key, value);
  }
}

void Config::checkUnread(llvm::StringRef key, const llvm::json::Value &value) {
  KeyKind kind = getKeyKind(key);
  if (kind == KeyKind::Harmless || isOff(key, value))
    return;
  switch (kind) {
  case KeyKind::Harmless:
    return;
  case KeyKind::Unknown:
    log.unknown.push_back(prefix + key.str());
    return;
  case KeyKind::PerLayer:
    return checkPerLayer(key, value);
  case KeyKind::Quantization:
    if (log.quantization.empty())
      log.quantization = prefix + key.str();
    if (!log.ignoreQuantization)
      fail(key,
           "says that the weights of this checkpoint are quantised; layers "
           "are imported with weights of f32 or bf16 "
           "(--ignore-quantization does so for this file)");
    return;
  case KeyKind::Formula:
    fail(key, "is " + quote(value) + ": it " + getFormulaReason(key) +
                  ", and is not read for this model type; remove it if the "
                  "layers do without");
    return;
  }
}

/// Layers that differ from each other in what a layer is made of are no layers
/// of one model here.
void Config::checkPerLayer(llvm::StringRef key,
                           const llvm::json::Value &value) {
  const llvm::json::Object *layers = value.getAsObject();
  if (!layers)
    return failType(key, "an object", value);
  for (llvm::StringRef layer : listKeys(*layers)) {
    const llvm::json::Object *changes = layers->getObject(layer);
    if (!changes)
      return failType(key, "an object of objects", value);
    for (llvm::StringRef changed : listKeys(*changes))
      if (log.read.contains(prefix + changed.str()) ||
          getKeyKind(changed) != KeyKind::Harmless)
        return fail(key, "gives layer " + printable(layer) + " a '" +
                             printable(changed) +
                             "' of its own; the layers of a model have to be "
                             "alike: import a file without the key, with the "
                             "values of the layer that is wanted");
  }
}
