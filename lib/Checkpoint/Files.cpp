//===- Files.cpp - Which files are a checkpoint ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// By names alone: nothing is opened here.
//
//===----------------------------------------------------------------------===//

#include "Files.h"

#include "moe-mlir/Checkpoint/Checkpoint.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

using namespace moe;
namespace fs = llvm::sys::fs;

std::string moe::joinPath(llvm::StringRef folder, llvm::StringRef name) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

//===----------------------------------------------------------------------===//
// Parts of GGUF files
//===----------------------------------------------------------------------===//

std::string moe::fiveDigits(int64_t number) {
  std::string text = std::to_string(number);
  return std::string(5 - std::min<size_t>(text.size(), 5), '0') + text;
}

std::string moe::nameOfPart(llvm::StringRef path, int64_t index,
                            int64_t count) {
  std::string suffix = "-of-" + fiveDigits(count) + ".gguf";
  size_t digits = fiveDigits(index).size();
  if (!path.consume_back(suffix) || path.size() <= digits ||
      !llvm::all_of(path.take_back(digits), llvm::isDigit))
    return "";
  path = path.drop_back(digits);
  return path.ends_with("-") ? path.str() + fiveDigits(index + 1) + suffix : "";
}

/// What all parts of a set are called up to their numbers; of a file that is no
/// part, its path.
static std::string nameOfSet(llvm::StringRef path) {
  constexpr size_t digits = 5;
  int64_t count;
  llvm::StringRef number = path;
  if (!number.consume_back(".gguf") ||
      number.take_back(digits).getAsInteger(10, count))
    return path.str();
  std::string first = nameOfPart(path, 0, count);
  return first.empty() ? path.str() : first;
}

//===----------------------------------------------------------------------===//
// Folders
//===----------------------------------------------------------------------===//

bool FolderFiles::list(const std::string &folder, std::string &error) {
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; it != end && !code;
       it.increment(code)) {
    llvm::StringRef name = llvm::sys::path::filename(it->path());
    // "._model.safetensors" and the like.
    if (name.starts_with("."))
      continue;
    if (name.ends_with(".safetensors.index.json"))
      indices.push_back(it->path());
    else if (name.ends_with(".safetensors"))
      shards.push_back(it->path());
    else if (name.ends_with(".gguf"))
      ggufs.push_back(it->path());
  }
  if (code) {
    error = folder + ": cannot list: " + code.message();
    return false;
  }
  for (std::vector<std::string> *paths : {&indices, &shards, &ggufs})
    llvm::sort(*paths);
  return true;
}

std::string FolderFiles::findGGUF(const std::string &folder,
                                  std::string &error) const {
  // The first part that is there of each set.
  std::map<std::string, std::string> sets;
  for (const std::string &path : ggufs)
    sets.try_emplace(nameOfSet(path), path);
  if (sets.size() == 1)
    return sets.begin()->second;
  if (sets.empty())
    return "";
  std::vector<std::string> names;
  for (const auto &[set, path] : sets)
    names.push_back(llvm::sys::path::filename(path).str());
  error = folder + ": has several GGUF files, " + llvm::join(names, ", ") +
          "; name one of them";
  return "";
}

std::string Checkpoint::locate(const std::string &path, bool &isCheckpoint) {
  llvm::StringRef name(path);
  isCheckpoint = name.ends_with(".gguf") || name.ends_with(".safetensors");
  if (!fs::is_directory(path))
    return path;
  // What is wrong with a folder open() says.
  FolderFiles files;
  std::string config = joinPath(path, "config.json"), error;
  isCheckpoint = !files.list(path, error) || files.hasSafetensors() ||
                 !files.ggufs.empty() || !fs::exists(config);
  return isCheckpoint ? path : config;
}
