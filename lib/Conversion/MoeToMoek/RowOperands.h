//===- RowOperands.h - What regions of rows read ----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// moek.row_map and the epilogue of moek.grouped_matmul have the same operands:
// rows of tokens, of the groups, and parameters of experts. Fusions join those
// of several kernels.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_CONVERSION_MOETOMOEK_ROWOPERANDS_H
#define MOE_MLIR_LIB_CONVERSION_MOETOMOEK_ROWOPERANDS_H

#include "mlir/IR/Block.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace moe {

/// The operands of a kernel that others become, each once, and the arguments of
/// its region for them.
class RowOperands {
public:
  /// Adds those of `op`, but for rows that the region has anyway.
  template <typename OpTy>
  void add(OpTy op, llvm::function_ref<bool(mlir::Value)> isInside) {
    if (op.getTokens())
      tokens = op.getTokens();
    gathered.insert(op.getGathered().begin(), op.getGathered().end());
    for (mlir::Value rows : op.getRows())
      if (!isInside(rows))
        ofGroups.insert(rows);
    parameters.insert(op.getParameters().begin(), op.getParameters().end());
  }

  mlir::Value getTokens() const { return tokens; }
  llvm::ArrayRef<mlir::Value> getGathered() const {
    return gathered.getArrayRef();
  }
  llvm::ArrayRef<mlir::Value> getRows() const { return ofGroups.getArrayRef(); }
  llvm::ArrayRef<mlir::Value> getParameters() const {
    return parameters.getArrayRef();
  }

  /// Appends an argument for each of them to `block`.
  void addArguments(mlir::Block &block, mlir::Location loc,
                    llvm::function_ref<mlir::Type(mlir::Value)> getType) {
    for (mlir::Value operand : gathered)
      gatheredArguments[operand] = block.addArgument(getType(operand), loc);
    for (llvm::ArrayRef<mlir::Value> list : {getRows(), getParameters()})
      for (mlir::Value operand : list)
        arguments[operand] = block.addArgument(getType(operand), loc);
  }

  /// Maps the arguments of `body`, from number `first` on, that stand for
  /// operands of `op`; `inside` has what the region has of rows.
  template <typename OpTy>
  void map(mlir::IRMapping &mapping, mlir::Block &body, unsigned first, OpTy op,
           const llvm::DenseMap<mlir::Value, mlir::Value> &inside) const {
    for (mlir::Value operand : op.getGathered())
      mapping.map(body.getArgument(first++), gatheredArguments.lookup(operand));
    for (mlir::Value operand : op.getRows()) {
      mlir::Value own = inside.lookup(operand);
      mapping.map(body.getArgument(first++),
                  own ? own : arguments.lookup(operand));
    }
    for (mlir::Value operand : op.getParameters())
      mapping.map(body.getArgument(first++), arguments.lookup(operand));
  }

private:
  mlir::Value tokens;
  llvm::SetVector<mlir::Value> gathered, ofGroups, parameters;
  /// The same tensor may be read by token and by row.
  llvm::DenseMap<mlir::Value, mlir::Value> gatheredArguments, arguments;
};

} // namespace moe

#endif // MOE_MLIR_LIB_CONVERSION_MOETOMOEK_ROWOPERANDS_H
