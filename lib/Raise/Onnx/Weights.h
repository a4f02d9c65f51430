//===- Weights.h - Which tensors of a model are weights --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Onnx.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_ONNX_WEIGHTS_H
#define MOE_LIB_RAISE_ONNX_WEIGHTS_H

#include "Model.h"

namespace moe::onnx {

struct Weight {
  std::string name;
  const Tensor *tensor;
};

/// The tensor that a node `Constant` is, or null.
const Tensor *getConstant(const Node &node);

/// Those that become arguments: initializers that are used, then nodes
/// `Constant`, in the order of the file.
std::vector<Weight> findWeights(const Model &model);

} // namespace moe::onnx

#endif // MOE_LIB_RAISE_ONNX_WEIGHTS_H
