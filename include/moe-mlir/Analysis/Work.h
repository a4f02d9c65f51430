//===- Work.h - What a function has to do at least --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Operations and bytes of a function for given sizes and routings: what its
// time is put in proportion to, whatever the function is.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_WORK_H
#define MOE_MLIR_ANALYSIS_WORK_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moe {

/// How many rows each expert gets.
struct ExpertLoad {
  double tokens = 0;
  std::vector<double> rows;
  /// Whether an expert gets any: 1, 0, or how likely it is.
  std::vector<double> active;

  double assignments() const;
  /// Of the experts from `begin` to `end`.
  double rowsOf(int64_t begin, int64_t end) const;
  double activeOf(int64_t begin, int64_t end) const;

  /// What to expect of `tokens` tokens that fill `slots` slots with any of the
  /// experts alike.
  static ExpertLoad even(double tokens, int64_t experts, int64_t slots);
};

/// A routing that was seen in a run.
struct SeenRouting {
  int64_t tokens = 0, slots = 0;
  std::vector<int64_t> rows; ///< Of each expert.
};

struct Work {
  /// A multiply-add is two operations.
  double multiplyAdds = 0;
  /// Bytes of arguments and results, each once: weights (arguments of static
  /// shape) as far as they are read, and the rest.
  double weightBytes = 0, activationBytes = 0;
  /// Of weights and constants in all.
  double allWeightBytes = 0;
  /// That of most weights; null without weights.
  mlir::Type weightType;
  /// What could not be counted.
  std::vector<std::string> unknown;
  /// Whether any load is what to expect, because no routing was seen.
  bool isExpected = false;

  double operations() const { return 2 * multiplyAdds; }
  double bytes() const { return weightBytes + activationBytes; }
};

/// What ops are asked about with.
class WorkContext {
public:
  /// A size of a ranked tensor, or nothing.
  std::optional<double> size(mlir::Value value, unsigned dim) const;
  /// Elements of a ranked tensor, or nothing.
  std::optional<double> elements(mlir::Value value) const;
  /// Null when nothing is known of the routing.
  const ExpertLoad *load(mlir::Value routing) const;

private:
  friend class WorkCounter;
  /// Of values of dynamic shape; negative is not known.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<double>> shapes;
  llvm::DenseMap<mlir::Value, ExpertLoad> loads;
};

/// The work of `function` with `sizes`, by the names in moe.dims. `seen` are
/// the routings of one call in their order; routers without one are expected to
/// treat all experts alike.
Work computeWork(mlir::func::FuncOp function,
                 const std::map<std::string, int64_t> &sizes,
                 llvm::ArrayRef<SeenRouting> seen = {});

/// Calls `visit` with every op of `function`, in order and those of loops once,
/// and with what is known of the sizes of its operands and results.
void walkWithSizes(
    mlir::func::FuncOp function, const std::map<std::string, int64_t> &sizes,
    llvm::function_ref<void(mlir::Operation *, const WorkContext &)> visit);

/// Attaches what is known of the ops of `moe`.
void registerWorkModels(mlir::DialectRegistry &registry);

} // namespace moe

#include "moe-mlir/Analysis/WorkInterface.h.inc"

#endif // MOE_MLIR_ANALYSIS_WORK_H
