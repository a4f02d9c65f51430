//===- Layer.h - One layer of a family as a function ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The snippet `layer` of a family is the body of a function: `%x` are the
// tokens, `%y` the result, and each weight of the family that it uses is an
// argument under its `moe.name`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_LAYER_H
#define MOE_MLIR_LIB_IMPORT_LAYER_H

#include "Sources.h"

#include "moe-mlir/Import/Import.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::importer {

/// What all layers of an import share.
struct LayerContext {
  const FamilyFile &family;
  Variables &variables;
  const ImportOptions &options;
  mlir::MLIRContext &context;
  /// Of --weights-type; null for plain elements.
  WeightFormatAttrInterface format;
  /// Null without a checkpoint.
  WeightSources *sources = nullptr;
  /// How many experts the checkpoint has, of which fewer may be kept.
  int64_t allExperts = 0;
  /// Functions by their text: layers that are alike are parsed once.
  std::map<std::string, mlir::func::FuncOp> made;
};

/// Adds the function of layer `layer` to `module`. Null with `error` set.
mlir::func::FuncOp buildLayer(LayerContext &context, mlir::ModuleOp module,
                              int64_t layer, llvm::StringRef modelName,
                              std::string &error);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_LAYER_H
