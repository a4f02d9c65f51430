//===- Keys.h - Keys of configurations that no family reads -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A configuration describes a whole model and a layer is a small part of it, so
// most keys do not concern a layer. Of the rest, one that is passed over is
// another model without a word. This is what tells them apart.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_KEYS_H
#define MOE_MLIR_LIB_IMPORT_KEYS_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/JSON.h"

namespace moe::importer {

enum class KeyKind {
  /// Nothing in a layer depends on it.
  Harmless,
  /// A layer may depend on it, by what is known of it or by its name.
  Formula,
  /// How the weights of the checkpoint are stored.
  Quantization,
  /// Values for single layers.
  PerLayer,
  /// Nothing is known of it, and its name does not speak of experts.
  Unknown,
};

KeyKind getKeyKind(llvm::StringRef key);

/// Why a layer may depend on a key that is `Formula`, as the middle of a
/// sentence.
llvm::StringRef getFormulaReason(llvm::StringRef key);

/// Whether this value of a key that is not harmless turns off what the key
/// stands for: null, false, zero, nothing, or the value that changes nothing.
bool isOff(llvm::StringRef key, const llvm::json::Value &value);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_KEYS_H
