//===- TensorIO.h - .safetensors and .npy files ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Files come from strangers: every length, offset and name in them is checked
// before it is used, and each rejected file gets one message that names the
// file, the tensor and what would be accepted.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_SUPPORT_TENSORIO_H
#define MOE_MLIR_SUPPORT_TENSORIO_H

#include "moe-mlir/Support/HostTensor.h"
#include "moe-mlir/Support/OutputSet.h"

#include <map>
#include <utility>

namespace moe {

using TensorMetadata = std::map<std::string, std::string>;

/// Appends the tensors of a .safetensors file (mapped, not read; in the order
/// of their data) or of a .npy file (one tensor, named like the file without
/// its extension). Elements may be written to: the file does not change. What a
/// .safetensors file says beside its tensors is added to `metadata`. On failure
/// `tensors` is as before.
bool readTensors(const std::string &path, std::vector<HostTensor> &tensors,
                 std::string &error, TensorMetadata *metadata = nullptr);

/// Tells that these bytes of a tensor will not be read again soon: if they are of
/// a file that is mapped, they leave the memory of the process until they are. So
/// does what was written to them.
void forgetRead(const void *data, size_t bytes);

/// Names of this form hold the bytes between tensors that an alignment leaves
/// over: the format allows no holes. Readers of ours skip them.
inline constexpr const char *paddingPrefix = "__padding__";

/// Writes a .safetensors file of any size tensor by tensor, so that none but
/// the current one has to be in memory.
class SafetensorsWriter {
public:
  struct Entry {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
  };
  /// `dataAlignment` is where the first tensor starts in the file,
  /// `tensorAlignment` how the others start relative to it; powers of two.
  /// The file is one of `outputs`, which live longer.
  bool
  open(OutputSet &outputs, const std::string &path, std::vector<Entry> entries,
       std::string &error, size_t dataAlignment = 64,
       size_t tensorAlignment = 1,
       const std::vector<std::pair<std::string, std::string>> &metadata = {});
  /// The next entry, all of it.
  bool write(const HostTensor &tensor, std::string &error);
  /// The next bytes of the current entry; ends with it at the latest.
  bool append(const void *data, size_t bytes, std::string &error);
  /// The next bytes of entry `entry`, for who makes several at a time: all
  /// entries of a file are written by this or none is. The file is a regular
  /// one.
  bool appendTo(size_t entry, const void *data, size_t bytes,
                std::string &error);
  /// False with a message when entries are missing.
  bool close(std::string &error);

private:
  bool writeBytes(const void *data, size_t bytes, std::string &error);
  bool fail(const std::string &what, std::string &error);

  std::string path;
  std::vector<Entry> entries;
  /// Where the bytes of an entry are in the file, and which are written by
  /// appendTo().
  struct Place {
    uint64_t begin = 0, end = 0;
  };
  std::vector<Place> places;
  size_t next = 0, alignment = 1;
  int64_t written = 0; // bytes of the current entry
  OutputSet *output = nullptr;
};

/// Tensors with wider elements come first, so that all are aligned.
bool writeSafetensors(OutputSet &outputs, const std::string &path,
                      const std::vector<HostTensor> &tensors,
                      std::string &error);

/// NumPy has no bf16: such a tensor is refused.
bool writeNpy(OutputSet &outputs, const std::string &path,
              const HostTensor &tensor, std::string &error);

} // namespace moe

#endif // MOE_MLIR_SUPPORT_TENSORIO_H
