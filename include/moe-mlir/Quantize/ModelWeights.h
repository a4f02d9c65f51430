//===- ModelWeights.h - The weights of a model -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which arguments of a model are matrices of experts that may be stored
// otherwise, and the model with them stored so.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_QUANTIZE_MODELWEIGHTS_H
#define MOE_MLIR_QUANTIZE_MODELWEIGHTS_H

#include "moe-mlir/Quantize/Convert.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace moe::quantize {

/// A matrix `[N, K]`, or one for each expert `[E, N, K]`.
struct ModelWeight {
  mlir::func::FuncOp function;
  /// An argument, or the result of a moe.dequantize of arguments.
  mlir::Value value;
  std::string name;
  mlir::RankedTensorType type;
  WeightType from;
  /// The arguments that it is stored in.
  std::vector<std::string> tensors;
  std::vector<mlir::RankedTensorType> tensorTypes;
  /// What it is to become.
  std::optional<WeightType> to;

  bool isChanged() const { return to && *to != from; }
  int64_t numExperts() const {
    return type.getRank() == 3 ? type.getDimSize(0) : 1;
  }
  int64_t rows() const { return type.getDimSize(type.getRank() - 2); }
  int64_t columns() const { return type.getShape().back(); }

  /// The tensors of `to`: names and types.
  std::vector<std::pair<std::string, mlir::RankedTensorType>> getTarget() const;
};

/// A weight that is left as it is, and why.
struct LeftWeight {
  std::string function, name, why;

  bool operator!=(const LeftWeight &other) const {
    return function != other.function || name != other.name || why != other.why;
  }
};

/// The matrices that experts of public functions are multiplied by, in the
/// order of arguments. Those that cannot be stored otherwise go to `left`.
std::vector<ModelWeight> findWeights(mlir::ModuleOp module,
                                     std::vector<LeftWeight> &left);

/// Changes the functions so that weights with a `to` are stored so. False and a
/// message if the model is none any more then.
bool storeWeights(mlir::ModuleOp module, llvm::ArrayRef<ModelWeight> weights,
                  std::string &error);

/// A pattern of names, `*` and `?` as in shells, and what weights become; null
/// to keep them.
struct WeightRule {
  std::string pattern;
  std::optional<WeightType> to;
};

/// Reads "q4_k", or "PATTERN=q4_k,PATTERN=f32,PATTERN=keep".
bool parseRules(mlir::MLIRContext &context, llvm::StringRef text,
                std::vector<WeightRule> &rules, std::string &error);

/// Gives each weight what the first rule says whose pattern is its name, or
/// "<function>/<name>". A rule without any weight is an error, and so is a
/// format that cannot store one.
bool applyRules(llvm::ArrayRef<WeightRule> rules,
                llvm::MutableArrayRef<ModelWeight> weights, std::string &error);

} // namespace moe::quantize

#endif // MOE_MLIR_QUANTIZE_MODELWEIGHTS_H
