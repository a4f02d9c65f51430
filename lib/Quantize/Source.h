//===- Source.h - Where tensors to be converted come from -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Private to lib/Quantize: a tensor of a file, of a checkpoint, or one that is
// made up, of which a part is in memory at a time.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_QUANTIZE_SOURCE_H
#define MOE_LIB_QUANTIZE_SOURCE_H

#include "moe-mlir/Checkpoint/TensorExpression.h"
#include "moe-mlir/Support/Random.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::quantize {

struct Source {
  /// Without `data` unless a file has it.
  HostTensor tensor;
  /// Makes it of tensors of a checkpoint.
  std::optional<TensorReader> reader;
  /// What made-up bytes of formats are.
  std::optional<StoredGroup> group;
  /// Bytes of an expert.
  int64_t bytes = 0;

  /// The `count` bytes from `begin` on, whole elements. What is no file's is
  /// put into `buffer`; null if there is no memory for it.
  const uint8_t *get(int64_t begin, int64_t count, std::optional<uint64_t> seed,
                     HostTensor &buffer) const;
};

/// The reader of an argument by what the `moe.checkpoint` of `function` says of
/// it. Nothing if that says nothing, or with `error` set if it does not fit.
std::optional<TensorReader> findReader(mlir::func::FuncOp function,
                                       llvm::StringRef name, DType dtype,
                                       const std::vector<int64_t> &shape,
                                       const Checkpoint *checkpoint,
                                       std::string &error);

} // namespace moe::quantize

#endif // MOE_LIB_QUANTIZE_SOURCE_H
