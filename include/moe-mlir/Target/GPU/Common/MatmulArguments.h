//===- MatmulArguments.h - What matmuls are given ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_GPU_COMMON_MATMULARGUMENTS_H
#define MOE_MLIR_TARGET_GPU_COMMON_MATMULARGUMENTS_H

#include "moe-mlir/Target/GPU/Common/Emitter.h"
#include "moe-mlir/Target/GPU/Common/Kernels.h"

namespace moe::gpu {

/// The arguments of a kernel that multiplies as `shape` says: weights, rows,
/// their scales (with `scales`), the index (with `gather`), the rows' weights
/// (with `weighs`), the index of tokens (with `gathered`), offsets, operands of
/// rows, parameters, the result.
struct MatmulArguments {
  MatmulArguments(const MatmulShape &shape, ValueRange all) : shape(shape) {
    auto take = [&](bool has) {
      Value own = has ? all.front() : Value();
      all = all.drop_front(has);
      return own;
    };
    rhs = take(true);
    lhs = take(true);
    scales = take(shape.scales);
    gather = take(shape.gather);
    weights = take(shape.weighs);
    tokens = take(shape.gathered > 0);
    offsets = take(true);
    ofRows = all.take_front(shape.ofRows.size());
    parameters = all.drop_front(shape.ofRows.size()).drop_back();
    out = all.back();
  }

  /// Appends what the epilogue reads of each operand of rows.
  void appendRows(Emitter &code, mlir::SmallVectorImpl<Value> &values,
                  Value row, Value column) const {
    Value token;
    if (tokens)
      token =
          code.load(code.i32(), code.at(tokens, code.mul(code.widen(row), 4)));
    for (auto [i, base] : llvm::enumerate(ofRows))
      append(code, values, base, shape.ofRows[i],
             int64_t(i) < shape.gathered ? token : row, column);
  }

  /// Appends what the epilogue reads of each parameter for an expert and a
  /// column; of columns behind the last, which nobody stores, that of the last.
  void appendParameters(Emitter &code, mlir::SmallVectorImpl<Value> &values,
                        Value expert, Value column) const {
    for (auto [base, parameter] : llvm::zip(parameters, shape.parameters))
      append(code, values, base, parameter, expert, column);
  }

  const MatmulShape &shape;
  Value rhs, lhs, scales, gather, weights, tokens, offsets;
  ValueRange ofRows, parameters;
  Value out;

private:
  void append(Emitter &code, mlir::SmallVectorImpl<Value> &values, Value base,
              const MatmulShape::Parameter &parameter, Value row,
              Value column) const {
    values.push_back(code.loadOf(
        base, parameter.element, row,
        parameter.ofColumns ? code.min(column, code.constant(shape.n - 1))
                            : code.constant(0),
        parameter.ofColumns ? shape.n : 1));
  }
};

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_MATMULARGUMENTS_H
