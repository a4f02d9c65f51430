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

namespace moe {

/// Finds tensors of a function: "<function>/<name>" first, so that layers may
/// have weights of their own, then "<name>".
class TensorPool {
public:
  void add(HostTensor tensor) { tensors.push_back(std::move(tensor)); }
  bool addFile(const std::string &path, std::string &error);
  const HostTensor *find(const std::string &function,
                         const std::string &name) const;
  const std::vector<HostTensor> &all() const { return tensors; }

private:
  std::vector<HostTensor> tensors;
};

/// Gives the tensor called `name` of `function`, or a null `data`. `shape` and
/// `dtype` are those it should have. Asked for one after another, it may make
/// tensors up or read them when they are needed.
using TensorSource = std::function<HostTensor(
    const FunctionDesc &function, const std::string &name, DType dtype,
    const std::vector<int64_t> &shape)>;

/// Writes each argument of static shape of each of `functions`, packed where
/// its description says so, as "<function>/<argument>" (as "<argument>" when
/// the artifact has only one function). Packs expert by expert: needs memory
/// for the sources of one argument and a fixed buffer.
bool writePackedWeights(const std::string &path, const Manifest &manifest,
                        const std::vector<const FunctionDesc *> &functions,
                        const TensorSource &source, std::string &error);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_PACKEDWEIGHTS_H
