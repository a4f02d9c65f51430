//===- SafetensorsHeader.h - What a .safetensors file says -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The header of a file, checked, without its tensors: for readers that want a
// few of many. readTensors() gives all of them.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_SAFETENSORSHEADER_H
#define MOE_MLIR_SUPPORT_SAFETENSORSHEADER_H

#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/MappedFile.h"
#include "moe-mlir/Support/TensorIO.h"

#include <optional>

namespace moe {

struct SafetensorsEntry {
  std::string name;
  /// In the words of the file, such as "BF16".
  std::string type;
  std::vector<int64_t> shape;
  /// Where its data are in the file.
  uint64_t begin = 0, end = 0;
};

/// The type of elements that the format calls `name`, or nothing if no
/// HostTensor has such elements.
std::optional<DType> parseSafetensorsType(std::string_view name);
/// All names that it takes, for messages.
std::string listSafetensorsTypes();

/// Entries in the order of their data, paddings included. Their bytes are within
/// the file, do not overlap, and are as many as type and shape say, as far as
/// the type is known. Names are unique. False with a message that begins with
/// `path`.
bool readSafetensorsHeader(const MappedFile &file, const std::string &path,
                           std::vector<SafetensorsEntry> &entries,
                           TensorMetadata &metadata, std::string &error);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_SAFETENSORSHEADER_H
