//===- TensorFormats.h - One reader per tensor file format -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Support: what TensorIO.cpp chooses from.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_SUPPORT_TENSORFORMATS_H
#define MOE_LIB_SUPPORT_TENSORFORMATS_H

#include "moe-mlir/Support/MappedFile.h"
#include "moe-mlir/Support/TensorIO.h"

namespace moe::detail {

bool readSafetensors(const std::string &path, std::vector<HostTensor> &tensors,
                     std::string &error, TensorMetadata *metadata);
bool readNpy(const std::string &path, std::vector<HostTensor> &tensors,
             std::string &error);

} // namespace moe::detail

#endif // MOE_LIB_SUPPORT_TENSORFORMATS_H
