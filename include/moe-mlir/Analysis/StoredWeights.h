//===- StoredWeights.h - What weights and their tensors are called -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Names of formats on command lines, and of weights and the tensors that they
// are stored in: whoever makes models, changes how their weights are stored or
// tells about them calls them the same.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_STOREDWEIGHTS_H
#define MOE_MLIR_ANALYSIS_STOREDWEIGHTS_H

#include "moe/Moe.h"

#include <string>
#include <vector>

namespace moe {

/// The format that `text` stands for: `q4_0` for #moe.q4_0, or any attribute as
/// IR has it. Null if it is none; `problem` says what is wrong with a format
/// whose name is known, or nothing.
WeightFormatAttrInterface parseWeightFormat(mlir::MLIRContext &context,
                                            llvm::StringRef text,
                                            std::string &problem);

/// How `format` is written on a command line.
std::string nameWeightFormat(WeightFormatAttrInterface format);

/// The names of this dialect's formats, without their parameters.
std::vector<std::string> getWeightFormatNames();

/// What tensor `tensor` of the `count` that `weight` is stored in is called: as
/// the weight if there is only that one.
std::string nameStorage(llvm::StringRef weight, const StorageTensor &tensor,
                        size_t count);

/// What an argument of a function is called, its moe.name or arg0, ...; or a
/// weight that is the result of a moe.dequantize of such. Empty for others.
std::string nameWeight(mlir::Value weight);

/// Whether `op` is a view of its first operand whose rows, along the last
/// dimension, are whole rows of that.
bool keepsRows(mlir::Operation *op);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_STOREDWEIGHTS_H
