//===- Import.h - Model configurations to moe IR ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Turns the `config.json` of a model into a module with one function per MoE
// layer. The weights are arguments of the functions, named as in
// docs/import.md.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_IMPORT_IMPORT_H
#define MOE_MLIR_IMPORT_IMPORT_H

#include "moe/Moe.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <string>
#include <vector>

namespace moe {

class Checkpoint;

struct ImportOptions {
  /// `first` (the first MoE layer), `all` (every MoE layer), a layer number or
  /// an inclusive range such as `0-7`.
  std::string layers = "first";
  /// What expert weights are: f32, bf16, or a format that they are stored in;
  /// auto is what the checkpoint has, and f32 without one. Router weights and
  /// biases are always f32.
  std::string weightsType = "auto";
  /// The family that reads the model, whatever its type: the name of one that
  /// comes with the compiler, or the path of a file (.yaml). Empty: by the type.
  std::string family;
  /// Keeps only the first experts of each layer; 0 keeps all.
  int64_t experts = 0;
  /// A static number of tokens; 0 leaves it dynamic.
  int64_t tokens = 0;
  /// Imports the layers of a quantised checkpoint with weights of
  /// `weightsType`; without it such a configuration is an error.
  bool ignoreQuantization = false;
};

/// The `model_type` values that can be imported, sorted.
std::vector<std::string> getSupportedModelTypes();

/// The families that come with the compiler, sorted.
std::vector<std::string> getFamilies();

/// What is wrong with the family files that come with the compiler, one line
/// each: files that cannot be read, expressions that are none, layers that are
/// no IR, weights without a name in a checkpoint, types that two families
/// claim.
std::vector<std::string> checkFamilies(mlir::MLIRContext &context);

/// The format that `text` stands for, null for auto and plain f32 and bf16: `q4_0` for
/// #moe.q4_0, or any attribute as IR has it. False when it is neither.
bool parseWeightsType(mlir::MLIRContext &context, llvm::StringRef text,
                      WeightFormatAttrInterface &format, std::string &error);

/// Imports the text of a configuration. `fileName` is what errors name, and
/// what the model is named after. Returns null and sets `error` (one line)
/// when the configuration or the options do not fit. `notes` gets what a user
/// should know of a file that fits, one line each.
mlir::OwningOpRef<mlir::ModuleOp>
importConfig(mlir::MLIRContext &context, llvm::StringRef json,
             llvm::StringRef fileName, const ImportOptions &options,
             std::string &error, std::vector<std::string> *notes = nullptr);

/// The same for a checkpoint, a folder or a GGUF file: arguments have the types
/// of its weights, and `moe.checkpoint` of each function says which of its
/// tensors they are. Without tensors, as importConfig() with its metadata.
mlir::OwningOpRef<mlir::ModuleOp>
importCheckpoint(mlir::MLIRContext &context, const Checkpoint &checkpoint,
                 const ImportOptions &options, std::string &error,
                 std::vector<std::string> *notes = nullptr);

} // namespace moe

#endif // MOE_MLIR_IMPORT_IMPORT_H
