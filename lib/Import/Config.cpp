//===- Config.cpp - Typed reading of a model configuration ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Typed look-ups with messages that name the key by its full path, and the
// table of activation names.
//
//===----------------------------------------------------------------------===//

#include "Config.h"

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

const llvm::json::Value *Config::find(llvm::StringRef key) const {
  const llvm::json::Value *value = object.get(key);
  // Upstream writes null for "use the default".
  return value && value->kind() != llvm::json::Value::Null ? value : nullptr;
}

bool Config::has(llvm::StringRef key) const { return find(key); }

bool Config::isNull(llvm::StringRef key) const {
  return object.get(key) && !find(key);
}

void Config::fail(llvm::StringRef key, const llvm::Twine &message) {
  if (failure.empty())
    failure = ("key '" + prefix + key + "' " + message).str();
}

void Config::failType(llvm::StringRef key, const llvm::Twine &expected,
                      const llvm::json::Value &value) {
  std::string found;
  llvm::raw_string_ostream(found) << value;
  constexpr size_t longest = 40;
  if (found.size() > longest)
    found = found.substr(0, longest) + "...";
  fail(key, "must be " + expected + ", but is " + found);
}

int64_t Config::integer(llvm::StringRef key, int64_t least,
                        std::optional<int64_t> fallback) {
  const llvm::json::Value *value = find(key);
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

double Config::number(llvm::StringRef key, double fallback) {
  const llvm::json::Value *value = find(key);
  if (!value)
    return fallback;
  std::optional<double> number = value->getAsNumber();
  // The compiler computes in f32: what f32 cannot hold is no sensible value.
  if (number && std::isfinite(static_cast<float>(*number)))
    return *number;
  failType(key, "a number", *value);
  return fallback;
}

bool Config::flag(llvm::StringRef key, bool fallback) {
  const llvm::json::Value *value = find(key);
  if (!value)
    return fallback;
  if (std::optional<bool> flag = value->getAsBoolean())
    return *flag;
  failType(key, "true or false", *value);
  return fallback;
}

std::string Config::text(llvm::StringRef key,
                         std::optional<llvm::StringRef> fallback) {
  const llvm::json::Value *value = find(key);
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
  const llvm::json::Value *value = find(key);
  if (!value)
    return std::nullopt;
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
  const llvm::json::Value *value = find(key);
  const llvm::json::Object *inner = value ? value->getAsObject() : nullptr;
  if (!value)
    fail(key, "is missing");
  else if (!inner)
    failType(key, "an object", *value);
  return Config(inner ? *inner : empty, failure, prefix + key.str() + ".");
}

std::string Config::activation(llvm::StringRef key, llvm::StringRef fallback) {
  std::string name = text(key, fallback);
  std::string attribute = getActivation(name);
  if (attribute.empty())
    fail(key, "names the unknown activation '" + name + "' (known are " +
                  listActivations() + ")");
  return attribute;
}
