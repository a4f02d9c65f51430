//===- PackedWeights.h - The file of packed weights ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weights are packed once, into a .safetensors file whose tensors kernels use
// where they are mapped: readTensors() gives them, 64-byte aligned.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_PACKEDWEIGHTS_H
#define MOE_MLIR_ARTIFACT_PACKEDWEIGHTS_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Support/OutputSet.h"
#include "moe-mlir/Support/Progress.h"
#include "moe-mlir/Support/TensorIO.h"

namespace moe {

/// Finds tensors of a function: "<function>/<name>" first, so that layers may
/// have weights of their own, then "<name>".
class TensorPool {
public:
  void add(HostTensor tensor) { tensors.push_back(std::move(tensor)); }
  /// Refuses packed weights of another version.
  bool addFile(const std::string &path, std::string &error);
  const HostTensor *find(const std::string &function,
                         const std::string &name) const;
  const std::vector<HostTensor> &all() const { return tensors; }
  /// What files say beside their tensors.
  const TensorMetadata &metadata() const { return texts; }

private:
  TensorMetadata texts;
  std::vector<HostTensor> tensors;
};

/// Gives the tensor called `name` of `function`, or nothing. `shape` and
/// `dtype` are those it should have. A tensor whose `data` is null is made by a
/// FunctionFill, part by part.
using TensorSource = std::function<std::optional<HostTensor>(
    const FunctionDesc &function, const std::string &name, DType dtype,
    const std::vector<int64_t> &shape)>;

/// TensorFill for the tensors of a function.
using FunctionFill =
    std::function<void(const FunctionDesc &function, HostTensor &part,
                       uint64_t first, const StoredGroup *stored)>;

/// Packs an argument whose description says how into a tensor of its name.
bool packArgument(const FunctionDesc &function, const ArgumentDesc &argument,
                  const TensorSource &source, const FunctionFill &fill,
                  HostTensor &packed, std::string &error);

/// Writes each argument of static shape of each of `functions`, packed where
/// its description says so, as "<function>/<argument>" (as "<argument>" when
/// the artifact has only one function). The metadata has the id of each layout
/// under its layoutKey() and, with `fromCheckpoint`, which of a checkpoint's
/// tensors each was made of under its sourceKey(). Packs a few experts at a time, whatever the size of
/// the whole, and tells `progress` of the bytes.
bool writePackedWeights(OutputSet &outputs, const std::string &path,
                        const Manifest &manifest,
                        const std::vector<const FunctionDesc *> &functions,
                        const TensorSource &source, const FunctionFill &fill,
                        std::string &error, const ProgressFn &progress = {},
                        bool fromCheckpoint = false);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_PACKEDWEIGHTS_H
