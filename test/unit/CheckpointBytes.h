//===- CheckpointBytes.h - Files of checkpoints, byte by byte --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Writers for tests that share nothing with the readers, and can write what is
// wrong.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_UNIT_CHECKPOINTBYTES_H
#define MOE_TEST_UNIT_CHECKPOINTBYTES_H

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

/// Little-endian, as this machine has it.
template <typename T> std::string bytesOf(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <typename T> std::string bytesOf(const std::vector<T> &values) {
  std::string bytes;
  for (T value : values)
    bytes += bytesOf(value);
  return bytes;
}

struct RawTensor {
  std::string name, type;
  std::vector<int64_t> shape;
  std::string data;
};

/// A .safetensors file; `gap` bytes of spaces are added to the header, which
/// moves the data.
inline std::string safetensors(const std::vector<RawTensor> &tensors,
                               size_t gap = 0) {
  std::string header = "{", data;
  for (const RawTensor &tensor : tensors) {
    if (header.size() > 1)
      header += ',';
    header +=
        '"' + tensor.name + "\":{\"dtype\":\"" + tensor.type + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      header += (i ? "," : "") + std::to_string(tensor.shape[i]);
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data += tensor.data;
    header += std::to_string(data.size()) + "]}";
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8 + gap, ' ');
  return bytesOf<uint64_t>(header.size()) + header + data;
}

/// A GGUF file, piece by piece.
struct GGUFBytes {
  std::string pairs, infos, data;
  uint32_t version = 3;
  uint64_t numPairs = 0, numTensors = 0, alignment = 32;

  static std::string text(const std::string &value) {
    return bytesOf<uint64_t>(value.size()) + value;
  }
  void pair(const std::string &key, uint32_t type, const std::string &value) {
    pairs += text(key) + bytesOf(type) + value;
    ++numPairs;
  }
  void pair(const std::string &key, uint32_t value) {
    pair(key, 4, bytesOf(value));
  }
  void pair(const std::string &key, const std::string &value) {
    pair(key, 8, text(value));
  }
  /// `sizes` fastest first, as in the file.
  void info(const std::string &name, const std::vector<uint64_t> &sizes,
            uint32_t type, uint64_t offset) {
    infos += text(name) + bytesOf<uint32_t>(sizes.size()) + bytesOf(sizes) +
             bytesOf(type) + bytesOf(offset);
    ++numTensors;
  }
  void tensor(const std::string &name, const std::vector<uint64_t> &sizes,
              uint32_t type, const std::string &bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    info(name, sizes, type, data.size());
    data += bytes;
  }
  std::string file() const {
    std::string all = "GGUF" + bytesOf(version) + bytesOf(numTensors) +
                      bytesOf(numPairs) + pairs + infos;
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + data;
  }
};

#endif // MOE_TEST_UNIT_CHECKPOINTBYTES_H
