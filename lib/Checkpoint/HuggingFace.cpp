//===- HuggingFace.cpp - Folders of .safetensors files ---------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A folder has config.json and, in this order of preference, an index that says
// which file has which tensor, model.safetensors, or any .safetensors files.
// Links are followed: caches consist of them.
//
//===----------------------------------------------------------------------===//

#include "Files.h"
#include "Readers.h"
#include "moe-mlir/Checkpoint/ConfigText.h"
#include "moe-mlir/Support/SafetensorsHeader.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <map>
#include <set>

using namespace moe;
namespace fs = llvm::sys::fs;
namespace json = llvm::json;

bool HuggingFaceReader::fail(const std::string &file, const std::string &what) {
  error = file + ": " + what;
  return false;
}

//===----------------------------------------------------------------------===//
// Files of JSON
//===----------------------------------------------------------------------===//

/// The object that a file of at most so many bytes holds.
static std::optional<json::Object>
readObject(const std::string &path, uint64_t most, std::string &error) {
  auto fail = [&](const std::string &what) {
    error = path + ": " + what;
    return std::nullopt;
  };
  fs::file_status status;
  if (std::error_code code = fs::status(path, status))
    return fail("cannot open: " + code.message());
  if (!fs::is_regular_file(status))
    return fail("not a regular file");
  if (status.getSize() > most)
    return fail("has " + std::to_string(status.getSize()) +
                " bytes; the limit is " + std::to_string(most));
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return fail("cannot read: " + buffer.getError().message());
  std::string problem;
  std::optional<json::Value> value =
      parseConfigText((*buffer)->getBuffer(), problem);
  if (!value)
    return fail(problem);
  json::Object *object = value->getAsObject();
  if (!object)
    return fail("not a JSON object");
  return std::move(*object);
}

bool HuggingFaceReader::readConfig() {
  std::string path = joinPath(checkpoint.path, "config.json");
  if (!fs::exists(path))
    return true;
  checkpoint.configPath = path;
  std::optional<json::Object> config =
      readObject(checkpoint.configPath, /*most=*/64 << 20, error);
  if (config)
    checkpoint.config = std::move(*config);
  return config.has_value();
}

/// Whether `name` stays within the folder that it is relative to.
static bool staysInFolder(llvm::StringRef name) {
  if (name.empty() || name.contains('\0') || llvm::sys::path::is_absolute(name))
    return false;
  llvm::SmallVector<llvm::StringRef> parts;
  name.split(parts, '/');
  return !llvm::is_contained(parts, "..");
}

bool HuggingFaceReader::readIndex(const std::string &path) {
  std::optional<json::Object> index = readObject(path, /*most=*/1 << 30, error);
  if (!index)
    return false;
  const json::Object *map = index->getObject("weight_map");
  if (!map)
    return fail(path, "the key 'weight_map' is missing or no object; expected "
                      "the file of each tensor");
  std::map<std::string, Wanted> files;
  for (const auto &[name, file] : *map) {
    std::optional<llvm::StringRef> text = file.getAsString();
    std::string what = "tensor '" + llvm::StringRef(name).str() + "' ";
    if (!text)
      return fail(path, what + "has no file name in 'weight_map'");
    if (!staysInFolder(*text))
      return fail(path, what + "is said to be in '" + text->str() +
                            "', which is not a file within the folder");
    files[text->str()][llvm::StringRef(name)] = false;
  }
  for (auto &[file, wanted] : files) {
    std::string whole = joinPath(checkpoint.path, file);
    if (!fs::exists(whole))
      return fail(whole, "no such file, and by " + path + " it has tensor '" +
                             (*llvm::min_element(wanted.keys())).str() + "'");
    if (!addShard(whole, &wanted))
      return false;
    std::set<llvm::StringRef> missing;
    for (const auto &entry : wanted)
      if (!entry.second)
        missing.insert(entry.first());
    if (!missing.empty())
      return fail(whole, "has no tensor '" + missing.begin()->str() +
                             "', which is in it by " + path);
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Shards
//===----------------------------------------------------------------------===//

bool HuggingFaceReader::addShard(const std::string &path, Wanted *wanted) {
  Checkpoint::File file;
  file.path = path;
  std::vector<SafetensorsEntry> entries;
  TensorMetadata metadata;
  if (!file.mapping.open(path, error) ||
      !readSafetensorsHeader(file.mapping, path, entries, metadata, error))
    return false;
  for (SafetensorsEntry &entry : entries) {
    if (llvm::StringRef(entry.name).starts_with(paddingPrefix))
      continue;
    if (wanted) {
      auto it = wanted->find(entry.name);
      // Other implementations skip what an index does not name.
      if (it == wanted->end())
        continue;
      it->second = true;
    }
    CheckpointTensor tensor;
    tensor.dtype = parseSafetensorsType(entry.type);
    tensor.blockBytes =
        tensor.dtype ? static_cast<int64_t>(dtypeSize(*tensor.dtype)) : 0;
    // Models have exponents as bytes.
    if (tensor.dtype == DType::F8E8M0)
      tensor.dtype = DType::U8;
    tensor.name = std::move(entry.name);
    tensor.type = std::move(entry.type);
    tensor.shape = std::move(entry.shape);
    tensor.file = checkpoint.files.size();
    tensor.offset = entry.begin;
    tensor.bytes = entry.end - entry.begin;
    checkpoint.tensors.push_back(std::move(tensor));
  }
  checkpoint.files.push_back(std::move(file));
  return true;
}

bool HuggingFaceReader::readFolder(FolderFiles files) {
  const std::string &folder = checkpoint.path;
  if (!readConfig())
    return false;
  auto choose = [&](std::vector<std::string> &paths, llvm::StringRef name) {
    std::string path = joinPath(folder, name);
    if (llvm::is_contained(paths, path))
      paths = {path};
  };
  choose(files.indices, "model.safetensors.index.json");
  choose(files.shards, "model.safetensors");
  if (files.indices.size() > 1)
    return fail(folder, "has several indices, " +
                            llvm::join(files.indices, ", ") +
                            ", and none is model.safetensors.index.json");
  if (!files.indices.empty())
    return readIndex(files.indices.front());
  if (files.shards.empty())
    return fail(folder, "has no .safetensors file and no .gguf file; expected "
                        "the folder of a model as Hugging Face has it");
  for (const std::string &shard : files.shards)
    if (!addShard(shard, nullptr))
      return false;
  return true;
}
