//===- StoreWeights.h - How weights of a model are stored -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Which arguments of a model are matrices of experts that may be stored
// otherwise, and the model with them stored so.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TRANSFORMS_STOREWEIGHTS_H
#define MOE_MLIR_TRANSFORMS_STOREWEIGHTS_H

#include "moe-mlir/Support/HostTensor.h"
#include "moe/Moe.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <optional>
#include <string>
#include <vector>

namespace moe {

/// Of an argument that is a matrix of experts: what it is to be stored in, a
/// format or a type of floats, or for ranges of experts a list of such, each
/// with its first expert: [[0, #moe.q6_k], [16, #moe.q4_k]]. Of a weight in a
/// format, on the first of the arguments that it is stored in.
inline constexpr llvm::StringLiteral kFormatAttr = "moe.format";

/// How weights are stored: in a format, or as numbers of a float type.
struct WeightType {
  WeightFormatAttrInterface format;
  DType number = DType::F32;

  bool operator==(const WeightType &other) const {
    return format == other.format && (format || number == other.number);
  }
  bool operator!=(const WeightType &other) const { return !(*this == other); }

  /// As on a command line: q4_k, bf16.
  std::string name() const;
  /// As `moe.format` has it: #moe.q4_k, bf16.
  mlir::Attribute attribute(mlir::MLIRContext *context) const;
  /// The tensors that weights of this type are stored in; of numbers one.
  llvm::SmallVector<StorageTensor> getStorage(mlir::MLIRContext *context,
                                              int64_t k) const;
  int64_t getBlockSize(int64_t k) const;
};

/// Experts from `begin` to the next range.
struct WeightRange {
  int64_t begin = 0;
  WeightType type;

  bool operator==(const WeightRange &other) const {
    return begin == other.begin && type == other.type;
  }
};
/// The first begins at expert 0.
using WeightRanges = llvm::SmallVector<WeightRange, 1>;

/// As `moe.format` says it.
mlir::Attribute getFormatAttribute(mlir::MLIRContext *context,
                                   llvm::ArrayRef<WeightRange> ranges);

/// A matrix `[N, K]`, or one for each expert `[E, N, K]`, or for a range of
/// experts that is to be stored in its own way.
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
  /// What it is to become; from the start what `moe.format` says.
  std::optional<WeightType> to;
  /// Of a range: the name of the whole, and the experts.
  std::string whole = {};
  int64_t begin = 0, end = 0;

  bool isRange() const { return !whole.empty(); }
  bool isChanged() const { return to && (isRange() || *to != from); }
  int64_t allExperts() const {
    return type.getRank() == 3 ? type.getDimSize(0) : 1;
  }
  int64_t numExperts() const { return isRange() ? end - begin : allExperts(); }
  /// Its name in the model as it is.
  const std::string &ownName() const { return isRange() ? whole : name; }
  int64_t rows() const { return type.getDimSize(type.getRank() - 2); }
  int64_t columns() const { return type.getShape().back(); }

  /// The arguments that it is, or is stored in.
  llvm::SmallVector<mlir::BlockArgument> getArguments() const;
  /// Says in the IR what it is to become; null to say nothing.
  void setFormat(mlir::Attribute format) const;

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

/// What `weight` becomes with `ranges`: itself, or its ranges, which are called
/// NAME.0-15 and so on.
std::vector<ModelWeight> splitWeight(const ModelWeight &weight,
                                     llvm::ArrayRef<WeightRange> ranges);

/// Whether rows of `weight` can be stored as `to`; why not.
bool checkStorage(const ModelWeight &weight, const WeightType &to,
                  std::string &why);

/// Changes the functions so that weights with a `to` are stored so; none has a
/// `moe.format` any more. False and a message if the model is none then.
bool storeWeights(mlir::ModuleOp module, llvm::ArrayRef<ModelWeight> weights,
                  std::string &error);

} // namespace moe

#endif // MOE_MLIR_TRANSFORMS_STOREWEIGHTS_H
