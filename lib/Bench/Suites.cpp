//===- Suites.cpp - What can be benchmarked ---------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Reads suites. A key that is not known is an error, as one that is misspelt
// would change what is measured.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Suites.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace moe;
using namespace moe::bench;

namespace {

/// An object of the file, whose keys are taken one by one.
class Reader {
public:
  Reader(const llvm::json::Value &value, std::string where, std::string &error)
      : object(value.getAsObject()), where(std::move(where)), error(error) {
    if (!object)
      fail("expected an object");
  }

  /// Sets `value` if the key is there.
  template <typename T> Reader &take(llvm::StringRef key, T &value) {
    known.push_back(key.str());
    if (const llvm::json::Value *given = object ? object->get(key) : nullptr)
      if (llvm::json::Path::Root root; !fromJSON(*given, value, root))
        fail("'" + key + "' is " + llvm::formatv("{0}", *given).str() +
             ", which does not fit");
    return *this;
  }

  /// One of some words, by its number.
  template <typename T>
  Reader &takeWord(llvm::StringRef key, llvm::ArrayRef<llvm::StringRef> words,
                   T &value) {
    std::string word;
    take(key, word);
    auto it = llvm::find(words, word);
    if (it != words.end())
      value = static_cast<T>(it - words.begin());
    else if (!word.empty())
      fail("'" + key + "' is '" + word + "'; known are " +
           llvm::join(words, ", "));
    return *this;
  }

  const llvm::json::Value *get(llvm::StringRef key) {
    known.push_back(key.str());
    return object ? object->get(key) : nullptr;
  }

  /// Whether all went well, and no key is left.
  bool finish() {
    if (object)
      for (const auto &[key, value] : *object)
        if (!llvm::is_contained(known, key.str()))
          fail("there is no key '" + key.str() + "'; known are " +
               llvm::join(known, ", "));
    return error.empty();
  }

private:
  void fail(const llvm::Twine &message) {
    if (error.empty())
      error = (where + ": " + message).str();
  }

  const llvm::json::Object *object;
  std::string where;
  std::string &error;
  std::vector<std::string> known;
};

} // namespace

static bool readBaseline(const llvm::json::Value &value,
                         const std::string &where, LayerSpec &spec,
                         std::string &error) {
  return Reader(value, where, error)
      .take("hidden", spec.hidden)
      .take("intermediate", spec.intermediate)
      .take("experts", spec.experts)
      .take("slots", spec.slots)
      .take("shared_intermediate", spec.sharedIntermediate)
      .takeWord("score", {"softmax_before", "softmax_after", "sigmoid"},
                spec.score)
      .take("renormalise", spec.renormalise)
      .take("scale", spec.scale)
      .take("groups", spec.groups)
      .take("kept_groups", spec.keptGroups)
      .take("router_bias", spec.routerBias)
      .take("correction_bias", spec.correctionBias)
      .take("expert_bias", spec.expertBias)
      .takeWord("activation", {"silu", "clamped_swiglu"}, spec.activation)
      .finish();
}

static bool readModel(const llvm::json::Value &value, const std::string &path,
                      BenchModel &model, std::string &error) {
  Reader reader(value, path, error);
  reader.take("name", model.name)
      .take("config", model.config)
      .take("experts", model.keepExperts);
  if (const llvm::json::Value *changes = reader.get("changes"))
    model.changes = llvm::formatv("{0}", *changes);
  const llvm::json::Value *baseline = reader.get("baseline");
  if (!reader.finish())
    return false;
  if (model.name.empty() || model.config.empty()) {
    error = path + ": a model has a 'name' and a 'config'";
    return false;
  }
  if (!baseline)
    return true;
  model.baseline.emplace();
  model.baseline->model = model.name;
  return readBaseline(*baseline, path + ": baseline of " + model.name,
                      *model.baseline, error);
}

static bool readFile(const std::string &path, Suite &suite,
                     std::string &error) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file) {
    error = path + ": " + file.getError().message();
    return false;
  }
  auto value = llvm::json::parse((*file)->getBuffer());
  if (!value) {
    error = path + ": " + llvm::toString(value.takeError());
    return false;
  }
  suite.name = llvm::sys::path::stem(path).str();
  Reader reader(*value, path, error);
  reader.take("description", suite.description)
      .take("formats", suite.formats)
      .take("tokens", suite.tokens)
      .take("quick", suite.isQuick);
  const llvm::json::Value *models = reader.get("models");
  if (!reader.finish())
    return false;
  if (!models || !models->getAsArray() || models->getAsArray()->empty() ||
      suite.formats.empty() || suite.tokens.empty()) {
    error = path + ": a suite has 'models', 'formats' and 'tokens'";
    return false;
  }
  for (const llvm::json::Value &model : *models->getAsArray())
    if (!readModel(model, path, suite.models.emplace_back(), error))
      return false;
  return true;
}

std::vector<std::string> bench::listSuites(const std::string &folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator it(folder, code), end;
       !code && it != end; it.increment(code))
    if (llvm::sys::path::extension(it->path()) == ".json")
      names.push_back(llvm::sys::path::stem(it->path()).str());
  llvm::sort(names);
  return names;
}

bool bench::readSuite(const std::string &folder, const std::string &name,
                      Suite &suite, std::string &error) {
  if (llvm::sys::path::extension(name) == ".json")
    return readFile(name, suite, error);
  std::vector<std::string> names = listSuites(folder);
  if (!llvm::is_contained(names, name)) {
    error = "there is no suite '" + name + "'; known: '" +
            llvm::join(names, "', '") + "'; a path of a .json file works, too";
    return false;
  }
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name + ".json");
  return readFile(path.str().str(), suite, error);
}

std::vector<Suite> bench::readSuites(const std::string &folder) {
  std::vector<Suite> suites;
  for (const std::string &name : listSuites(folder)) {
    std::string error;
    if (Suite suite; readSuite(folder, name, suite, error))
      suites.push_back(std::move(suite));
  }
  return suites;
}

void bench::printSuites(llvm::raw_ostream &os, const std::string &folder) {
  for (const Suite &suite : readSuites(folder)) {
    os << suite.name << ": " << suite.description << "\n  models:";
    for (const BenchModel &model : suite.models)
      os << " " << model.name;
    os << "\n  formats: " << llvm::join(suite.formats, " ") << "\n  tokens:";
    for (int64_t tokens : suite.tokens)
      os << " " << tokens;
    os << "\n";
  }
  os << "routing: selection and packing on their own, beside plain "
        "C++\nrouting-smoke: a few of those, to show that they "
        "work\n";
}
