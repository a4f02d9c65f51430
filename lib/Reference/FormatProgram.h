//===- FormatProgram.h - Formats that have no model ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_FORMATPROGRAM_H
#define MOE_LIB_REFERENCE_FORMATPROGRAM_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe-mlir/Support/HostTensor.h"
#include "moe/Moe.h"

namespace moe::reference {

/// The IR that a format builds to decode a block, and its interpretation: what
/// stands in for a model of formats of other dialects. Says nothing about
/// whether the format decodes what it should, but what kernels are to compute.
class FormatProgram {
public:
  /// For weights of `type`, `[..., N, K]`; errors are emitted at `loc`.
  static llvm::FailureOr<FormatProgram> build(WeightFormatAttrInterface format,
                                              mlir::RankedTensorType type,
                                              mlir::Location loc);

  llvm::LogicalResult decodeRow(llvm::ArrayRef<StoredRows> storage, int64_t row,
                                llvm::MutableArrayRef<float> values);

private:
  /// The numbers of a block, as arguments of both functions.
  std::vector<HostTensor> getFields(llvm::ArrayRef<StoredRows> storage,
                                    int64_t row, int64_t block) const;

  mlir::OwningOpRef<mlir::ModuleOp> module;
  /// From the fields to what is shared, and with that and the two indices of a
  /// round to its values.
  mlir::func::FuncOp shared, round;
  int64_t blockSize = 0;
  DecodeRounds rounds;
  llvm::SmallVector<BlockField> fields;
  llvm::SmallVector<StorageTensor> tensors;
  /// Of those that have an order.
  llvm::SmallVector<std::optional<StoragePlaces>> places;
};

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_FORMATPROGRAM_H
