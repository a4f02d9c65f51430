//===- ContentId.h - Which files belong together ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every file of an artifact repeats one id: a hash of the manifest and of the
// code. Files of different compilations, and a manifest that somebody edited,
// are told by it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_CONTENTID_H
#define MOE_MLIR_ARTIFACT_CONTENTID_H

#include "moe-mlir/Artifact/Manifest.h"
#include "moe-mlir/Artifact/Packing.h"

#include <string_view>

namespace llvm::json {
class Object;
} // namespace llvm::json

namespace moe {

/// 128 bits in hexadecimal.
std::string hashBytes(std::string_view bytes);

/// Of all members but "id", whatever their order and the spaces between them.
std::string manifestId(const llvm::json::Object &manifest);

/// Of everything that decides which bytes a packed argument holds. Weights stay
/// valid when a model is compiled again, by another version or for other
/// targets, as long as this is the same.
std::string layoutId(const PackSpec &spec);

/// The key of a layout's id in the metadata of a file of packed weights.
std::string layoutKey(const std::string &tensorName);

/// The key of the metadata that says which tensors of a checkpoint a packed
/// tensor was made of, and what it says of `argument`: weights and expressions.
/// Empty if the function does not say where its weights are.
std::string sourceKey(const std::string &tensorName);
std::string describeSources(const FunctionDesc &function,
                            const ArgumentDesc &argument);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_CONTENTID_H
