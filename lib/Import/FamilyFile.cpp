//===- FamilyFile.cpp - Files of model families -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Judging what is in a file: a word that means nothing is an error, so that a
// misspelt one is not passed over.
//
//===----------------------------------------------------------------------===//

#include "FamilyFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Path.h"

#include <set>

using namespace llvm;
using namespace moe::importer;

const KeySpec *FamilyFile::findKey(StringRef variable) const {
  auto found = find_if(
      keys, [&](const KeySpec &key) { return key.variable == variable; });
  return found == keys.end() ? nullptr : &*found;
}

//===----------------------------------------------------------------------===//
// Fields
//===----------------------------------------------------------------------===//

namespace {

/// Reads the fields of one object, and complains of those that nobody read.
class Fields {
public:
  Fields(const json::Value &value, std::string where, std::string &error)
      : object(value.getAsObject()), where(std::move(where)), error(error) {
    if (!object)
      fail("has to be a mapping");
  }

  void fail(const Twine &message) {
    if (error.empty())
      error = (where + ": " + message).str();
  }

  const json::Value *get(StringRef name) {
    read.insert(name);
    return object ? object->get(name) : nullptr;
  }

  void text(StringRef name, std::string &into) {
    const json::Value *value = get(name);
    if (!value)
      return;
    if (std::optional<StringRef> text = value->getAsString())
      into = text->str();
    // An expression may look like a flag or a number.
    else if (std::optional<bool> flag = value->getAsBoolean())
      into = *flag ? "true" : "false";
    else if (std::optional<int64_t> integer = value->getAsInteger())
      into = std::to_string(*integer);
    else if (std::optional<double> number = value->getAsNumber())
      into = std::to_string(*number);
    else
      fail("'" + name + "' has to be a text");
  }

  /// One text, or a list of them.
  void texts(StringRef name, std::vector<std::string> &into) {
    const json::Value *value = get(name);
    if (!value || value->kind() == json::Value::Null)
      return;
    into.clear();
    json::Array one;
    const json::Array *array = value->getAsArray();
    if (!array) {
      one.push_back(*value);
      array = &one;
    }
    for (const json::Value &element : *array)
      if (std::optional<StringRef> text = element.getAsString())
        into.push_back(text->str());
      else if (std::optional<int64_t> number = element.getAsInteger())
        into.push_back(std::to_string(*number));
      else
        fail("'" + name + "' has to be a text or a list of texts");
  }

  void copy(StringRef name, std::optional<json::Value> &into) {
    if (const json::Value *value = get(name))
      into = *value;
  }

  void flag(StringRef name, bool &into) {
    const json::Value *value = get(name);
    if (value && value->getAsBoolean())
      into = *value->getAsBoolean();
    else if (value)
      fail("'" + name + "' has to be true or false");
  }

  void integer(StringRef name, int64_t &into) {
    const json::Value *value = get(name);
    if (value && value->getAsInteger())
      into = *value->getAsInteger();
    else if (value)
      fail("'" + name + "' has to be an integer");
  }

  /// Calls `entry(name, value)` in the order of names.
  template <typename Entry> void forEach(StringRef name, const Entry &entry) {
    const json::Value *value = get(name);
    if (!value || value->kind() == json::Value::Null)
      return;
    const json::Object *map = value->getAsObject();
    if (!map)
      return fail("'" + name + "' has to be a mapping");
    std::map<std::string, const json::Value *> sorted;
    for (const auto &field : *map)
      sorted[field.first.str()] = &field.second;
    for (const auto &[key, field] : sorted)
      // Null takes back what the base has.
      if (field->kind() != json::Value::Null)
        entry(key, *field);
  }

  /// A misspelt field would be passed over.
  void finish() {
    if (!object)
      return;
    for (const auto &field : *object)
      if (!is_contained(read, StringRef(field.first)))
        fail("'" + StringRef(field.first) + "' means nothing here; known are " +
             join());
  }

private:
  std::string join() const {
    std::string names;
    for (StringRef name : read)
      names += (names.empty() ? "" : ", ") + name.str();
    return names;
  }

  const json::Object *object;
  std::string where;
  std::string &error;
  std::set<StringRef> read;
};

constexpr StringLiteral keyTypes[] = {"size",     "integer", "number",
                                      "flag",     "text",    "activation",
                                      "integers", "texts",   "numbers"};

} // namespace

static KeySpec readKey(const std::string &name, const json::Value &value,
                       const std::string &where, std::string &error) {
  KeySpec key;
  key.variable = name;
  Fields fields(value, where + ": key " + name, error);
  fields.texts("names", key.names);
  fields.texts("gguf", key.ggufNames);
  fields.text("type", key.type);
  fields.copy("default", key.fallback);
  fields.copy("gguf_default", key.ggufFallback);
  fields.copy("null", key.null);
  fields.copy("only", key.only);
  // Null takes back that of the base.
  if (key.only && key.only->kind() == json::Value::Null)
    key.only.reset();
  fields.integer("least", key.least);
  fields.flag("per_layer", key.perLayer);
  fields.flag("required", key.required);
  fields.finish();
  if (!is_contained(keyTypes, StringRef(key.type)))
    fields.fail("unknown type '" + key.type + "'");
  return key;
}

static WeightSpec readWeight(const std::string &name, const json::Value &value,
                             const std::string &where, std::string &error) {
  WeightSpec weight;
  weight.name = name;
  Fields fields(value, where + ": weight " + name, error);
  fields.texts("shape", weight.shape);
  fields.text("type", weight.type);
  fields.texts("names", weight.names);
  fields.texts("gguf", weight.ggufNames);
  fields.finish();
  if (weight.shape.empty())
    fields.fail("has no shape");
  return weight;
}

static SnippetSpec readSnippet(const std::string &name,
                               const json::Value &value,
                               const std::string &where, std::string &error) {
  SnippetSpec snippet;
  // One without parameters is only its text.
  if (std::optional<StringRef> text = value.getAsString()) {
    snippet.text = text->str();
    return snippet;
  }
  Fields fields(value, where + ": snippet " + name, error);
  fields.texts("parameters", snippet.parameters);
  fields.text("text", snippet.text);
  fields.finish();
  return snippet;
}

std::unique_ptr<FamilyFile>
moe::importer::readFamily(StringRef path, const json::Object &object,
                          std::string &error) {
  auto family = std::make_unique<FamilyFile>();
  family->path = path.str();
  family->name = sys::path::stem(path).str();
  const std::string &where = family->path;
  json::Value whole = json::Object(object);
  Fields fields(whole, where, error);
  std::string about;
  fields.text("about", about);
  fields.get("base");
  fields.texts("model_types", family->modelTypes);
  fields.texts("architectures", family->architectures);
  fields.texts("ignored", family->ignored);
  fields.texts("prefix", family->prefixes);
  fields.texts("gguf_prefix", family->ggufPrefixes);
  fields.forEach("keys",
                 [&](const std::string &name, const json::Value &value) {
                   family->keys.push_back(readKey(name, value, where, error));
                 });
  fields.forEach(
      "weights", [&](const std::string &name, const json::Value &value) {
        family->weights.push_back(readWeight(name, value, where, error));
      });
  fields.forEach(
      "snippets", [&](const std::string &name, const json::Value &value) {
        family->snippets[name] = readSnippet(name, value, where, error);
      });
  for (auto [field, into] : {std::pair{"values", &family->values},
                             std::pair{"types", &family->types},
                             std::pair{"inputs", &family->inputs}})
    fields.forEach(field,
                   [&](const std::string &name, const json::Value &value) {
                     if (std::optional<StringRef> text = value.getAsString())
                       (*into)[name] = text->str();
                     else
                       (*into)[name] = formatv("{0}", value).str();
                   });
  if (const json::Value *checks = fields.get("checks")) {
    const json::Array *list = checks->getAsArray();
    if (!list)
      fields.fail("'checks' has to be a list");
    for (const json::Value &value : list ? *list : json::Array()) {
      CheckSpec check;
      Fields own(value, where + ": check", error);
      own.text("that", check.that);
      own.text("key", check.key);
      own.text("says", check.says);
      own.finish();
      family->checks.push_back(std::move(check));
    }
  }
  if (const json::Value *example = fields.get("example")) {
    if (const json::Object *object = example->getAsObject())
      family->example = *object;
    else
      fields.fail("'example' has to be a mapping");
  }
  fields.finish();
  return error.empty() ? std::move(family) : nullptr;
}
