//===- FunctionTensors.h - What interpreted functions take and give -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Arguments of a function from tensors by name or from a seed, and results
// beside what was expected.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_FUNCTIONTENSORS_H
#define MOE_MLIR_REFERENCE_FUNCTIONTENSORS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "moe-mlir/Support/Random.h"
#include "llvm/ADT/StringMap.h"
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moe {
class Checkpoint;
} // namespace moe

namespace moe::reference {

using TensorMap = llvm::StringMap<HostTensor>;

/// The function named `entry`, the only public one that has a body, or, with
/// `all`, every public one that takes no arguments. Another number is an error,
/// which names `file`.
bool findFunctions(mlir::ModuleOp module, llvm::StringRef file,
                   llvm::StringRef entry, bool all,
                   llvm::SmallVectorImpl<mlir::func::FuncOp> &functions,
                   std::string &error);

/// moe.name, else arg0 or result0.
std::string argumentName(mlir::func::FuncOp func, unsigned i);
std::string resultName(mlir::func::FuncOp func, unsigned i);

/// Reads the tensors of files; a name that is there twice is an error.
bool readTensorFiles(llvm::ArrayRef<std::string> files, TensorMap &tensors,
                     std::string &error);

/// Adds the arguments of `func` that are not among `tensors` and that its
/// `moe.checkpoint` says how to read. It is an error if there is none, or if
/// tensors do not fit.
bool readCheckpoint(mlir::func::FuncOp func, const Checkpoint &checkpoint,
                    TensorMap &tensors, std::string &error);

/// Of an argument of a function without a body that weights are stored in: what
/// it consists of, as a dictionary of the `bytes` of a group, `k`, and the
/// `numbers` of a group, which are fields of a `moe.packed`.
inline constexpr llvm::StringLiteral kStoredAttrName = "moe.stored";

/// What argument `i` consists of if weights are stored in it; nothing if none
/// are.
std::optional<StoredGroup> getStoredGroup(mlir::func::FuncOp func, unsigned i);

/// The arguments of `func`: those of `tensors`, and the others from the seed
/// with `sizes` by the names in moe.dims. What cannot be made is an error.
bool makeArguments(mlir::func::FuncOp func, const TensorMap &tensors,
                   std::optional<uint64_t> seed,
                   const std::map<std::string, int64_t> &sizes,
                   std::vector<HostTensor> &arguments, std::string &error);

/// The largest |result - expected| relative to the magnitude of its row, and its
/// element; -1 where all are equal.
struct Difference {
  double largest = 0;
  int64_t element = -1;

  /// Integers have to be equal.
  bool isWithin(double tolerance, DType dtype) const {
    return largest <= (isFloat(dtype) ? tolerance : 0.0);
  }
};

/// Of tensors of one shape, in rows of `width` elements.
Difference findDifference(const HostTensor &result, const HostTensor &expected,
                          int64_t width);

/// Compares the results of `func` with the tensors of `file` by their names:
/// prints a line for each, and says in `errors` what differs or is missing.
bool compareResults(llvm::raw_ostream &os, mlir::func::FuncOp func,
                    llvm::ArrayRef<HostTensor> results, const std::string &file,
                    double tolerance, std::vector<std::string> &errors);

/// A line: its name, type and elements.
void printTensor(llvm::raw_ostream &os, const HostTensor &tensor);

} // namespace moe::reference

#endif // MOE_MLIR_REFERENCE_FUNCTIONTENSORS_H
