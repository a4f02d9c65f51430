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

/// The arguments of a kernel that multiplies as `shape` says, in the order that
/// Kernels.h has them in.
struct MatmulArguments {
  MatmulArguments(const MatmulShape &shape, ValueRange all)
      : shape(shape), rhs(all[0]), lhs(all[1]),
        gather(shape.gather ? all[2] : Value()),
        offsets(all[shape.gather ? 3 : 2]),
        parameters(all.slice(shape.gather ? 4 : 3, shape.parameters.size())),
        out(all.back()) {}

  /// Appends what the epilogue reads of each parameter for an expert and a
  /// column; of columns behind the last, which nobody stores, that of the last.
  void appendParameters(Emitter &code, mlir::SmallVectorImpl<Value> &values,
                        Value expert, Value column) const {
    for (auto [base, parameter] : llvm::zip(parameters, shape.parameters))
      values.push_back(code.loadOf(
          base, parameter.element, expert,
          parameter.ofColumns ? code.min(column, code.constant(shape.n - 1))
                              : code.constant(0),
          parameter.ofColumns ? shape.n : 1));
  }

  const MatmulShape &shape;
  Value rhs, lhs, gather, offsets;
  ValueRange parameters;
  Value out;
};

} // namespace moe::gpu

#endif // MOE_MLIR_TARGET_GPU_COMMON_MATMULARGUMENTS_H
