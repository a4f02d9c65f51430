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
        ("key '" + printable(prefix + spell(key).str()) + "' " + message).str();
}

void Config::failType(llvm::StringRef key, const llvm::Twine &expected,
                      const llvm::json::Value &value) {
  fail(key, "must be " + expected + ", but is " + quote(value));
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

llvm::StringRef Config::spell(llvm::StringRef key) const {
  if (object.get(key))
    return key;
  for (auto [real, other] : aliases)
    if (real == key && object.get(other))
      return other;
  return key;
}

const llvm::json::Value *Config::find(llvm::StringRef key) const {
  log.read.insert(prefix + key.str());
  return object.get(spell(key));
}

const llvm::json::Value *Config::get(llvm::StringRef key) {
  const llvm::json::Value *value = find(key);
  if (!value || value->kind() != llvm::json::Value::Null)
    return value;
  fail(key, "is null, which means nothing for it; without the key, the "
            "default of the model type is used");
  return nullptr;
}

bool Config::has(llvm::StringRef key) const {
  const llvm::json::Value *value = find(key);
  return value && value->kind() != llvm::json::Value::Null;
}

bool Config::isNull(llvm::StringRef key) const {
  const llvm::json::Value *value = find(key);
  return value && value->kind() == llvm::json::Value::Null;
}

int64_t Config::integer(llvm::StringRef key, int64_t least,
                        std::optional<int64_t> fallback) {
  const llvm::json::Value *value = get(key);
  if (!value) {
    if (!fallback)
      fail(key, "is missing");
    return fallback.value_or(std::max<int64_t>(least, 1));
  }
  std::optional<int64_t> number = value->getAsInteger();
  if (number && *number >= least && *number <= largestInteger)
    return *number;
  failType(key,
           "an integer from " + llvm::Twine(least) + " to " +
               llvm::Twine(largestInteger),
           *value);
  return std::max<int64_t>(least, 1);
}

int64_t Config::size(llvm::StringRef key, std::optional<int64_t> fallback,
                     int64_t least) {
  int64_t value = integer(key, least, fallback);
  if (!find(key) && fallback)
    log.defaulted.push_back(prefix + key.str() + " = " + std::to_string(value));
  return value;
}

double Config::number(llvm::StringRef key, double fallback) {
  const llvm::json::Value *value = get(key);
  if (!value)
    return fallback;
  std::optional<double> number = value->getAsNumber();
  // The compiler computes in f32: what f32 cannot hold is no sensible value.
  if (number && (std::isnormal(static_cast<float>(*number)) || *number == 0.0))
    return *number;
  failType(key, "a number that f32 holds", *value);
  return fallback;
}

bool Config::flag(llvm::StringRef key, bool fallback) {
  const llvm::json::Value *value = get(key);
  if (!value)
    return fallback;
  if (std::optional<bool> flag = value->getAsBoolean())
    return *flag;
  failType(key, "true or false", *value);
  return fallback;
}

std::string Config::text(llvm::StringRef key,
                         std::optional<llvm::StringRef> fallback) {
  const llvm::json::Value *value = get(key);
  if (!value) {
    if (!fallback)
      fail(key, "is missing");
    return fallback.value_or("").str();
  }
  if (std::optional<llvm::StringRef> text = value->getAsString())
    return text->str();
  failType(key, "a string", *value);
  return fallback.value_or("").str();
}

std::optional<std::vector<int64_t>> Config::integers(llvm::StringRef key) {
  if (!has(key))
    return std::nullopt;
  const llvm::json::Value *value = find(key);
  std::vector<int64_t> numbers;
  const llvm::json::Array *array = value->getAsArray();
  if (array)
    for (const llvm::json::Value &element : *array)
      if (std::optional<int64_t> number = element.getAsInteger())
        numbers.push_back(*number);
  if (!array || numbers.size() != array->size())
    failType(key, "a list of integers", *value);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Config Config::nested(llvm::StringRef key) {
  static const llvm::json::Object empty;
  const llvm::json::Object *inner = nullptr;
  if (has(key)) {
    const llvm::json::Value *value = find(key);
    inner = value->getAsObject();
    if (inner)
      log.opened.insert(prefix + spell(key).str());
    else
      failType(key, "an object", *value);
  }
  return Config(inner ? *inner : empty, log, prefix + spell(key).str() + ".");
}

std::string Config::activation(llvm::StringRef key,
                               std::optional<llvm::StringRef> fallback) {
  std::string name = text(key, fallback);
  std::string attribute = getActivation(name);
  if (attribute.empty())
    fail(key, "names the unknown activation '" + printable(name) +
                  "' (known are " + listActivations() + ")");
  return attribute;
}

void Config::alias(llvm::StringRef other, llvm::StringRef key) {
  aliases.emplace_back(key, other);
  const llvm::json::Value *second = object.get(other);
  log.read.insert(prefix + other.str());
  if (const llvm::json::Value *first = second ? find(key) : nullptr;
      first && *first != *second)
    fail(key, "is " + quote(*first) + ", but '" + other +
                  "', another name of it, is " + quote(*second));
}

void Config::expect(llvm::StringRef key, const llvm::json::Value &only) {
  if (has(key) && *find(key) != only)
    fail(key, "is " + quote(*find(key)) + "; this model type supports " +
                  quote(only));
}

void Config::skip(llvm::StringRef key) { log.read.insert(prefix + key.str()); }

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

void Config::failUnread(const llvm::Twine &message) {
  for (llvm::StringRef key : listKeys(object))
    if (!log.read.contains(prefix + key.str()))
      fail(key, message);
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
