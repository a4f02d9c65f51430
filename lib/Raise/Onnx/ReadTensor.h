//===- ReadTensor.h - The tensors of a .onnx file --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Raise/Onnx.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_RAISE_ONNX_READTENSOR_H
#define MOE_LIB_RAISE_ONNX_READTENSOR_H

#include "Model.h"
#include "Wire.h"

namespace moe::onnx {

/// Reads the tensor in `field`, whose elements may be in another file beside
/// the model. False, with a message, unless it has as many bytes as its shape
/// says.
bool readTensor(const Field &field, Model &model, Tensor &tensor,
                std::string &error);

} // namespace moe::onnx

#endif // MOE_LIB_RAISE_ONNX_READTENSOR_H
