//===- CheckpointUse.h - What functions leave of a checkpoint --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A tensor that is beside the weights of a layer and that nobody reads may mean
// that the layer is not what the checkpoint holds: a bias that is not added,
// experts that are not there.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_CHECKPOINTUSE_H
#define MOE_MLIR_ARTIFACT_CHECKPOINTUSE_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Checkpoint/Checkpoint.h"

namespace moe {

/// The tensors beside those that `functions` read, by their names, that none of
/// them reads; sorted. Beside: in the folder of names (all up to a dot) that
/// the tensors of one function have in common; of GGUF files, those of experts
/// and routers of the layer.
std::vector<std::string>
findUnusedTensors(const Checkpoint &checkpoint,
                  const std::vector<const FunctionDesc *> &functions);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_CHECKPOINTUSE_H
