//===- FamilyLibrary.cpp - Which family reads a model -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Files and their bases. An import needs one family of many, so that of the
// others only the lines are read that say which models they are for.
//
//===----------------------------------------------------------------------===//

#include "FamilyFile.h"
#include "YAML.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <algorithm>

using namespace llvm;
using namespace moe::importer;

static constexpr StringLiteral extension = ".yaml";

std::string moe::importer::findFamilyFolder() {
  if (std::optional<std::string> folder =
          sys::Process::GetEnv("MOE_MLIR_FAMILIES"))
    return *folder;
  static int anchor;
  std::string program = sys::fs::getMainExecutable(nullptr, &anchor);
  // PREFIX/bin/moe-import and PREFIX/share/moe-mlir/families; in a build
  // folder, test programs are further down.
  StringRef folder = sys::path::parent_path(program);
  for (int up = 0; up < 4 && !folder.empty(); ++up) {
    folder = sys::path::parent_path(folder);
    SmallString<128> candidate(folder);
    sys::path::append(candidate, "share", "moe-mlir", "families");
    if (sys::fs::is_directory(candidate))
      return candidate.str().str();
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Bases
//===----------------------------------------------------------------------===//

/// Fields of named things, whose entries are merged one by one.
static bool isMergedMap(StringRef field) {
  for (StringRef merged :
       {"values", "types", "inputs", "snippets", "keys", "weights"})
    if (field == merged)
      return true;
  return false;
}

static void mergeEntry(json::Object &into, StringRef name,
                       const json::Value &value) {
  const json::Object *object = value.getAsObject();
  json::Value *old = into.get(name);
  // A key or a weight keeps what the new file does not say of it.
  if (old && object && old->getAsObject()) {
    for (const auto &field : *object)
      (*old->getAsObject())[field.first.str()] = field.second;
    return;
  }
  // Keys of JSON objects do not own a StringRef.
  into[name.str()] = value;
}

static void mergeBase(json::Object &family, const json::Object &base) {
  for (const auto &field : base) {
    StringRef name = field.first;
    // What the base itself is for is not inherited.
    if (name == "model_types" || name == "architectures" || name == "base" ||
        name == "example")
      continue;
    json::Value *own = family.get(name);
    if (!own) {
      family[name.str()] = field.second;
      continue;
    }
    json::Object *ownMap = own->getAsObject();
    const json::Object *baseMap = field.second.getAsObject();
    if (!isMergedMap(name) || !ownMap || !baseMap)
      continue;
    json::Object merged = *baseMap;
    for (const auto &entry : *ownMap)
      mergeEntry(merged, entry.first, entry.second);
    *own = std::move(merged);
  }
}

const json::Object *FamilyLibrary::loadObject(StringRef path,
                                              std::string &error) {
  if (auto known = objects.find(path.str()); known != objects.end())
    return &known->second;
  if (is_contained(loading, path.str())) {
    error = "bases that lead in a circle";
    return nullptr;
  }
  ErrorOr<std::unique_ptr<MemoryBuffer>> file = MemoryBuffer::getFile(path);
  if (!file) {
    error = path.str() + ": " + file.getError().message();
    return nullptr;
  }
  std::optional<json::Value> value =
      parseYAML((*file)->getBuffer(), path, error);
  if (!value)
    return nullptr;
  json::Object *object = value->getAsObject();
  if (!object) {
    error = path.str() + ": a family file has to be a mapping";
    return nullptr;
  }
  StringRef base = object->getString("base").value_or("common");
  if (sys::path::stem(path) != "common") {
    SmallString<128> basePath(folder);
    sys::path::append(basePath, base + extension);
    loading.push_back(path.str());
    const json::Object *inherited = loadObject(basePath, error);
    loading.pop_back();
    if (!inherited) {
      error = path.str() + ": the base '" + base.str() + "': " + error;
      return nullptr;
    }
    mergeBase(*object, *inherited);
  }
  return &objects.try_emplace(path.str(), std::move(*object)).first->second;
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

const FamilyFile *FamilyLibrary::load(StringRef nameOrFile,
                                      std::string &error) {
  std::string path = nameOrFile.str();
  if (!nameOrFile.ends_with(extension) && !nameOrFile.ends_with(".yml") &&
      !nameOrFile.contains('/')) {
    SmallString<128> own(folder);
    sys::path::append(own, nameOrFile + extension);
    path = own.str().str();
  }
  auto &family = families[path];
  if (family)
    return family.get();
  error.clear();
  if (const json::Object *object = loadObject(path, error))
    family = readFamily(path, *object, error);
  if (!family) {
    families.erase(path);
    return nullptr;
  }
  if (llvm::none_of(index, [&](const Entry &e) { return e.path == path; }))
    index.push_back({path, family->modelTypes, family->architectures});
  return family.get();
}

std::vector<std::string> FamilyLibrary::listFiles(std::string &error) const {
  std::error_code code;
  std::vector<std::string> paths;
  for (sys::fs::directory_iterator file(folder, code), end;
       !code && file != end; file.increment(code))
    if (StringRef(file->path()).ends_with(extension))
      paths.push_back(file->path());
  if (code || paths.empty()) {
    error = "no family files in '" + folder + "'" +
            (code ? ": " + code.message() : "") +
            "; MOE_MLIR_FAMILIES names another folder";
    return {};
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

//===----------------------------------------------------------------------===//
// The index
//===----------------------------------------------------------------------===//

/// The texts of a field that is at the beginning of a line, without the rest of
/// the file. False where that takes a look at the whole.
static bool scanField(StringRef text, StringRef field,
                      std::vector<std::string> &names) {
  size_t mentions = text.count(field);
  if (mentions == 0)
    return true;
  std::string begin = "\n" + field.str() + ":";
  size_t at = text.starts_with(StringRef(begin).drop_front())
                  ? 0
                  : text.find(begin) + 1;
  if (mentions != 1 || (at == 0 && !text.starts_with(field)))
    return false;
  // Up to the next field; elements of a list may begin a line, too.
  StringRef rest = text.substr(at), own = rest.take_front(rest.find('\n'));
  for (StringRef line : split(rest.drop_front(own.size()), '\n')) {
    if (!line.empty() && !StringRef(" #-\t\r").contains(line.front()))
      break;
    own = rest.take_front(line.end() - rest.begin());
  }
  std::string error;
  std::optional<json::Value> value = parseYAML(own, field, error);
  const json::Object *object = value ? value->getAsObject() : nullptr;
  const json::Value *said = object ? object->get(field) : nullptr;
  if (!said)
    return false;
  if (std::optional<StringRef> one = said->getAsString()) {
    names.push_back(one->str());
    return true;
  }
  const json::Array *list = said->getAsArray();
  for (const json::Value &element : list ? *list : json::Array()) {
    std::optional<StringRef> name = element.getAsString();
    if (!name)
      return false;
    names.push_back(name->str());
  }
  return list;
}

bool FamilyLibrary::readIndex(std::string &error) {
  for (const std::string &path : listFiles(error)) {
    Entry entry{path, {}, {}};
    auto file = MemoryBuffer::getFile(path);
    if (!file ||
        !scanField((*file)->getBuffer(), "model_types", entry.modelTypes) ||
        !scanField((*file)->getBuffer(), "architectures",
                   entry.architectures)) {
      if (!load(path, error))
        return false;
      continue;
    }
    index.push_back(std::move(entry));
  }
  return error.empty();
}

const FamilyFile *FamilyLibrary::find(std::vector<std::string> Entry::*names,
                                      StringRef name, std::string &error) {
  for (const Entry &entry : index)
    if (is_contained(entry.*names, name))
      return load(entry.path, error);
  return nullptr;
}

const FamilyFile *FamilyLibrary::findModelType(StringRef type,
                                               std::string &error) {
  return find(&Entry::modelTypes, type, error);
}

const FamilyFile *FamilyLibrary::findArchitecture(StringRef name,
                                                  std::string &error) {
  return find(&Entry::architectures, name, error);
}

std::vector<std::string> FamilyLibrary::getModelTypes() const {
  std::vector<std::string> types;
  for (const Entry &entry : index)
    llvm::append_range(types, entry.modelTypes);
  std::sort(types.begin(), types.end());
  return types;
}

std::vector<std::string> FamilyLibrary::getNames() const {
  std::vector<std::string> names;
  for (const Entry &entry : index)
    if (!entry.modelTypes.empty() || !entry.architectures.empty())
      names.push_back(sys::path::stem(entry.path).str());
  return names;
}
