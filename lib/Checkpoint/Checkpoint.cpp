//===- Checkpoint.cpp - Weights as they are published ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// What both kinds share: choosing a reader, finding a tensor, viewing it.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Checkpoint/Checkpoint.h"
#include "Files.h"
#include "Readers.h"

#include "moe-mlir/Support/SafetensorsHeader.h"

#include "llvm/Support/FileSystem.h"

#include <algorithm>

using namespace moe;

//===----------------------------------------------------------------------===//
// Descriptions
//===----------------------------------------------------------------------===//

std::vector<int64_t> CheckpointTensor::getStoredShape() const {
  std::vector<int64_t> stored = shape;
  if (isBlocks() && !stored.empty())
    stored.back() = stored.back() / blockElements * blockBytes;
  return stored;
}

std::string CheckpointTensor::describe() const {
  std::string text = type + '[';
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "x" : "") + std::to_string(shape[i]);
  return text + ']';
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

std::vector<std::string> Checkpoint::getFiles() const {
  std::vector<std::string> paths;
  for (const File &file : files)
    paths.push_back(file.path);
  return paths;
}

bool Checkpoint::open(const std::string &path,
                      std::shared_ptr<const Checkpoint> &checkpoint,
                      std::string &error) {
  if (path.empty())
    return true;
  checkpoint = open(path, error);
  return checkpoint != nullptr;
}

/// GGUF files have a configuration of their own, so that a config.json beside
/// them is not read.
bool Checkpoint::readFolder(std::string &error) {
  FolderFiles files;
  if (!files.list(path, error))
    return false;
  if (!files.hasSafetensors()) {
    std::string gguf = files.findGGUF(path, error);
    if (!gguf.empty())
      return GGUFReader(*this, error).read(gguf);
    if (!error.empty())
      return false;
  }
  return HuggingFaceReader(*this, error).readFolder(std::move(files));
}

std::unique_ptr<Checkpoint> Checkpoint::open(const std::string &path,
                                             std::string &error) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint);
  checkpoint->path = path;
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(path, status)) {
    error = path + ": cannot open: " + code.message();
    return nullptr;
  }
  bool isRead;
  llvm::StringRef name(path);
  if (llvm::sys::fs::is_directory(status)) {
    isRead = checkpoint->readFolder(error);
  } else if (name.ends_with(".safetensors")) {
    isRead = HuggingFaceReader(*checkpoint, error).readFile();
  } else if (name.ends_with(".gguf")) {
    isRead = GGUFReader(*checkpoint, error).read(path);
  } else {
    error = path + ": not a checkpoint by its name; expected a folder, a "
                   ".safetensors or a .gguf file";
    return nullptr;
  }
  if (!isRead || !checkpoint->finish(error))
    return nullptr;
  return checkpoint;
}

bool Checkpoint::finish(std::string &error) {
  std::sort(tensors.begin(), tensors.end(),
            [](const CheckpointTensor &a, const CheckpointTensor &b) {
              return std::tie(a.name, a.file) < std::tie(b.name, b.file);
            });
  for (size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i].name == tensors[i - 1].name) {
      error = getFile(tensors[i]) + ": tensor '" + tensors[i].name +
              "' is in " + getFile(tensors[i - 1]) + ", too";
      return false;
    }
  return true;
}

//===----------------------------------------------------------------------===//
// Access
//===----------------------------------------------------------------------===//

const CheckpointTensor *Checkpoint::find(llvm::StringRef name) const {
  auto it =
      std::lower_bound(tensors.begin(), tensors.end(), name,
                       [](const CheckpointTensor &tensor,
                          llvm::StringRef name) { return tensor.name < name; });
  return it != tensors.end() && it->name == name ? &*it : nullptr;
}

bool Checkpoint::checkReadable(const CheckpointTensor &tensor,
                               std::string &error) const {
  if (tensor.isReadable())
    return true;
  error = getFile(tensor) + ": tensor '" + tensor.name + "' is of type " +
          tensor.type + ", which cannot be read; readable are " +
          (kind == Kind::GGUF ? listGGUFTypes() : listSafetensorsTypes());
  return false;
}

bool Checkpoint::view(const CheckpointTensor &tensor, HostTensor &result,
                      std::string &error) const {
  if (!checkReadable(tensor, error))
    return false;
  result = viewOrCopy(files[tensor.file].mapping, tensor.offset,
                      tensor.dtype.value_or(DType::U8), tensor.getStoredShape(),
                      tensor.name);
  if (!result.data)
    error = getFile(tensor) + ": tensor '" + tensor.name + "' of " +
            std::to_string(tensor.bytes) + " bytes: no memory for a copy";
  return result.data;
}

std::string moe::listTensors(llvm::ArrayRef<std::string> names) {
  constexpr size_t shown = 3;
  size_t count = names.size();
  std::string text =
      count == 1 ? "tensor " : std::to_string(count) + " tensors ";
  for (size_t i = 0; i < count && i < shown; ++i) {
    bool isLast = i + 1 == count;
    text += (i == 0 ? "'" : isLast ? " and '" : ", '") + names[i] + "'";
  }
  return count > shown ? text + ", ..." : text;
}
