//===- Checkpoint.h - Weights as they are published ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A checkpoint is a Hugging Face folder (config.json and .safetensors files), a
// GGUF file, of which there may be several parts, or a folder with one. Opening
// one reads headers only, whatever its size; tensors are mapped.
//
// Files come from strangers: each length, offset and name is checked before it
// is used. An error is one line that names the file and the tensor or key.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_CHECKPOINT_CHECKPOINT_H
#define MOE_MLIR_CHECKPOINT_CHECKPOINT_H

#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/MappedFile.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

#include <memory>
#include <optional>

namespace moe {

/// What a checkpoint says about one of its tensors.
struct CheckpointTensor {
  std::string name;
  /// The type in the words of its file: "BF16", "F8_E4M3", "U8" as safetensors
  /// has them, also in GGUF files. Blocks of GGUF files are called as the
  /// formats of the moe dialect: "q4_k", "q8_0", "mxfp4_blocks". What is in
  /// neither list keeps its name, or its number: "F8_E5M2", "GGML type 16".
  std::string type;
  /// Of plain elements that a HostTensor can have, with exponents (F8_E8M0) as
  /// U8; nothing for blocks and for types that are not known.
  std::optional<DType> dtype;
  /// In elements, slowest first: the reverse of the order in GGUF files.
  std::vector<int64_t> shape;
  /// Blocks hold so many consecutive elements of the last dimension (1: plain
  /// elements) in so many bytes (0: the type is not known, and the tensor
  /// cannot be read).
  int64_t blockElements = 1, blockBytes = 0;
  /// Number of the file, and where in it the data are.
  size_t file = 0;
  uint64_t offset = 0, bytes = 0;

  bool isBlocks() const { return blockElements > 1; }
  bool isReadable() const { return blockBytes != 0; }
  /// That of the HostTensor: for blocks, the last dimension is the bytes of a
  /// row.
  std::vector<int64_t> getStoredShape() const;
  /// "BF16[64x2048]", with the shape in elements.
  std::string describe() const;
};

class Checkpoint {
public:
  enum class Kind { HuggingFace, GGUF };

  /// Opens a folder, a .safetensors or a .gguf file; of a set of GGUF parts,
  /// any one. Null with a message.
  static std::unique_ptr<Checkpoint> open(const std::string &path,
                                          std::string &error);

  /// The same, but without a path `checkpoint` is left alone.
  static bool open(const std::string &path,
                   std::shared_ptr<const Checkpoint> &checkpoint,
                   std::string &error);
  /// What there is to import at `path`: the path of a checkpoint, or that of a
  /// configuration, such as that of a folder that was downloaded without its
  /// weights. `isCheckpoint` says which it is.
  static std::string locate(const std::string &path, bool &isCheckpoint);

  Kind getKind() const { return kind; }
  /// As open() was given it.
  const std::string &getPath() const { return path; }

  /// The config.json of a folder (empty for a bare .safetensors file), or the
  /// metadata of a GGUF file under their keys ("qwen3moe.expert_count"). There,
  /// integers and floats are numbers, and lists of more than 65536 elements,
  /// which tokenizers are, are left out.
  const llvm::json::Object &getConfig() const { return config; }
  /// Where the configuration is from, for messages: path of config.json or of
  /// the GGUF file.
  const std::string &getConfigPath() const { return configPath; }

  /// Sorted by name.
  llvm::ArrayRef<CheckpointTensor> getTensors() const { return tensors; }
  /// Null if there is none.
  const CheckpointTensor *find(llvm::StringRef name) const;

  /// All files of tensors.
  std::vector<std::string> getFiles() const;
  /// The paths that CheckpointTensor::file numbers.
  const std::string &getFile(const CheckpointTensor &tensor) const {
    return files[tensor.file].path;
  }

  /// The tensor in place, or a copy where the file leaves its elements
  /// misaligned; blocks as U8 of getStoredShape(). False with a message if its
  /// type is not known. Not to be written to.
  bool view(const CheckpointTensor &tensor, HostTensor &result,
            std::string &error) const;

  /// The bytes of a tensor in the mapped file, of any alignment, and what keeps
  /// them there.
  const char *getData(const CheckpointTensor &tensor) const {
    return files[tensor.file].mapping.data + tensor.offset;
  }
  std::shared_ptr<void> getStorage(const CheckpointTensor &tensor) const {
    return files[tensor.file].mapping.storage;
  }
  /// False with a message if the type of a tensor is not known.
  bool checkReadable(const CheckpointTensor &tensor, std::string &error) const;

private:
  struct File {
    std::string path;
    MappedFile mapping;
  };
  friend class HuggingFaceReader;
  friend class GGUFReader;

  Checkpoint() = default;
  bool readFolder(std::string &error);
  /// Sorts the tensors; false if two have one name.
  bool finish(std::string &error);

  Kind kind = Kind::HuggingFace;
  std::string path, configPath;
  llvm::json::Object config;
  std::vector<CheckpointTensor> tensors;
  std::vector<File> files;
};

/// "tensor 'a'", or "3 tensors 'a', 'b' and 'c'", of which a few are named.
std::string listTensors(llvm::ArrayRef<std::string> names);

} // namespace moe

#endif // MOE_MLIR_CHECKPOINT_CHECKPOINT_H
