//===- ManifestReader.h - Checked values of a manifest ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Artifact.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_ARTIFACT_MANIFESTREADER_H
#define MOE_LIB_ARTIFACT_MANIFESTREADER_H

#include "moe-mlir/Artifact/Packing.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"

namespace moe::detail {

namespace json = llvm::json;

/// Reads values under a path such as "functions[2].arguments[0]", which begins
/// the message about the first bad one.
class Reader {
public:
  Reader(std::string where, std::string &error)
      : where(std::move(where)), error(error) {}

  bool fail(const std::string &path, const std::string &what) {
    if (!failed)
      error = where + ": " + path + ": " + what;
    failed = true;
    return false;
  }

  const json::Value *get(const json::Object &object, const std::string &path,
                         llvm::StringRef key, bool isRequired) {
    const json::Value *value = object.get(key);
    if (!value && isRequired)
      fail(path, "lacks \"" + key.str() + "\"");
    return value;
  }

  bool string(const json::Object &object, const std::string &path,
              llvm::StringRef key, std::string &out, bool isRequired = true) {
    const json::Value *value = get(object, path, key, isRequired);
    if (!value)
      return !isRequired;
    auto text = value->getAsString();
    if (!text)
      return fail(path + "." + key.str(), "expected a string");
    out = text->str();
    return true;
  }

  /// A name that a linker and C understand.
  bool identifier(const json::Object &object, const std::string &path,
                  llvm::StringRef key, std::string &out,
                  bool isRequired = true) {
    if (!string(object, path, key, out, isRequired))
      return false;
    bool isGood = (out.empty() && !object.get(key)) || isIdentifier(out);
    return isGood || fail(path + "." + key.str(),
                          "expected letters, digits and '_', not '" + out +
                              "'");
  }

  static bool isIdentifier(llvm::StringRef text) {
    return !text.empty() && !llvm::isDigit(text.front()) &&
           llvm::all_of(text,
                        [](char c) { return llvm::isAlnum(c) || c == '_'; });
  }

  bool integer(const json::Object &object, const std::string &path,
               llvm::StringRef key, int64_t &out, bool isRequired = true) {
    const json::Value *value = get(object, path, key, isRequired);
    if (!value)
      return !isRequired;
    return integer(*value, path + "." + key.str(), out);
  }

  bool integer(const json::Value &value, const std::string &path,
               int64_t &out) {
    auto number = value.getAsInteger();
    if (!number || *number < 0)
      return fail(path, "expected a non-negative integer");
    out = *number;
    return true;
  }

  bool number(const json::Object &object, const std::string &path,
              llvm::StringRef key, double &out) {
    const json::Value *value = get(object, path, key, /*isRequired=*/true);
    if (!value)
      return false;
    auto number = value->getAsNumber();
    if (!number)
      return fail(path + "." + key.str(), "expected a number");
    out = *number;
    return true;
  }

  bool boolean(const json::Object &object, const std::string &path,
               llvm::StringRef key, bool &out, bool isRequired = true) {
    const json::Value *value = get(object, path, key, isRequired);
    if (!value)
      return !isRequired;
    auto flag = value->getAsBoolean();
    if (!flag)
      return fail(path + "." + key.str(), "expected true or false");
    out = *flag;
    return true;
  }

  bool dtype(const json::Object &object, const std::string &path,
             DType &out, bool isRequired = true) {
    std::string name;
    if (!string(object, path, "dtype", name, isRequired))
      return false;
    if (name.empty() && !isRequired)
      return true;
    return parseDType(name, out) ||
           fail(path + ".dtype", "unknown element type '" + name + "'");
  }

  /// Calls `element(value, path of it)`.
  bool array(const json::Object &object, const std::string &path,
             llvm::StringRef key,
             llvm::function_ref<bool(const json::Value &, const std::string &)>
                 element,
             bool isRequired = true) {
    const json::Value *value = get(object, path, key, isRequired);
    if (!value)
      return !isRequired;
    const json::Array *list = value->getAsArray();
    std::string base = path.empty() ? key.str() : path + "." + key.str();
    if (!list)
      return fail(base, "expected a list");
    for (size_t i = 0; i < list->size(); ++i)
      if (!element((*list)[i], base + "[" + std::to_string(i) + "]"))
        return false;
    return true;
  }

private:
  std::string where;
  std::string &error;
  bool failed = false;
};

/// How an argument is packed: `value` at `path`.
bool parsePackSpec(Reader &reader, const json::Value &value,
                   const std::string &path, PackSpec &spec);

} // namespace moe::detail

#endif // MOE_LIB_ARTIFACT_MANIFESTREADER_H
