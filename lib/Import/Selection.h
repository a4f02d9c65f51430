//===- Selection.h - What of a model is imported ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// --experts and --layers, by what the family of a model says of them. Both
// return what is wrong, and nothing if all is well.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_SELECTION_H
#define MOE_MLIR_LIB_IMPORT_SELECTION_H

#include "Variables.h"

namespace moe::importer {

/// Keeps the first experts. The number of groups stays if it can, so that the
/// shrunken layer still routes as the model does; otherwise their size stays.
std::string keepExperts(Variables &variables, int64_t experts);

/// Turns `first`, `all`, a number or a range into layer numbers, all of them
/// MoE layers.
std::string chooseLayers(Variables &variables, llvm::StringRef choice,
                         std::vector<int64_t> &chosen);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_SELECTION_H
