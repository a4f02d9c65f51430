//===- Scalars.h - Ops on single numbers ------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// `arith` and `math` ops as functions on numbers. Everything that applies them
// (to scalars, element by element, in bodies of linalg ops) shares this table.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_SCALARS_H
#define MOE_LIB_REFERENCE_SCALARS_H

#include "Machine.h"

namespace moe::reference {

struct ScalarOp {
  /// False when the result is undefined (a division by zero).
  using Fn = bool (*)(const ScalarOp &, const Scalar *args, Scalar &result);

  Fn fn = nullptr;
  unsigned width = 64;       // bits of the first operand, for integers
  unsigned resultWidth = 64; // bits of the result, for integers
  int64_t code = 0;          // predicate, or whatever the op needs
  /// The error of the result in units of its format: 0 for exact ops, 1 for
  /// those that are rounded once, more for approximations, which compute in f32
  /// at least.
  double units = 0.0;
  NumberFormat format;
  unsigned numOperands = 0;
  unsigned numFloats = 0; // leading operands that are floats

  /// The function of `op`; nothing when `op` is not in the table. `op` may
  /// work on vectors or tensors: the function is that of one element.
  static std::optional<ScalarOp> get(mlir::Operation *op);

  bool apply(const Scalar *args, Scalar &result,
             RoundingErrors &rounding) const {
    if (units > 0.0 && rounding.isOn())
      return applyRounded(args, result, rounding);
    return fn(*this, args, result);
  }

private:
  bool applyRounded(const Scalar *args, Scalar &result,
                    RoundingErrors &rounding) const;
};

/// Executes `op` element by element.
llvm::LogicalResult executeElementwise(Machine &machine, mlir::Operation *op,
                                       const ScalarOp &scalarOp);

/// A block of scalar ops as a list of steps, for bodies that run once per
/// element.
class ScalarProgram {
public:
  /// Nothing when the block holds anything but scalar ops; it is then run op
  /// by op. Reads values from outside the block now.
  static std::optional<ScalarProgram> build(Machine &machine,
                                            mlir::Block &block);

  /// Runs on the block's arguments; the terminator's operands become
  /// `results`. Emits an error at the op when it fails.
  llvm::LogicalResult run(llvm::ArrayRef<Scalar> arguments,
                          llvm::ArrayRef<int64_t> iteration,
                          llvm::SmallVectorImpl<Scalar> &results);

private:
  explicit ScalarProgram(RoundingErrors &rounding) : rounding(rounding) {}

  struct Step {
    mlir::Operation *op;
    ScalarOp function;
    llvm::SmallVector<unsigned, 3> operands;
    unsigned result;
    int64_t iterationDim = -1; // linalg.index when not negative
  };
  RoundingErrors &rounding;
  llvm::SmallVector<Scalar> slots;
  std::vector<Step> steps;
  llvm::SmallVector<unsigned> yielded;
};

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_SCALARS_H
