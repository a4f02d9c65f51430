//===- Images.h - Where the code of a device's kernels is -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LOWERING_IMAGES_H
#define MOE_MLIR_LOWERING_IMAGES_H

#include "llvm/ADT/StringRef.h"

#include <string>

namespace moe {

/// How the names of these constants end.
inline constexpr llvm::StringLiteral kImageSuffix = "_code";

/// The constant with the code of the module of kernels called `name`, which
/// `moe_rt.launch` refers to: targets define it, and launches pass its address.
inline std::string getImageName(llvm::StringRef name) {
  return (name + kImageSuffix).str();
}

} // namespace moe

#endif // MOE_MLIR_LOWERING_IMAGES_H
