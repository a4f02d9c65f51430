//===- FormatDecoder.h - Values of stored weights --------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Decodes rows of any format: by the interpreter's model of it, or where it has
// none by interpreting what the format builds for kernels.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REFERENCE_FORMATDECODER_H
#define MOE_MLIR_REFERENCE_FORMATDECODER_H

#include "moe-mlir/Reference/ReferenceInterfaces.h"
#include "moe/Moe.h"

#include <memory>
#include <string>

namespace moe::reference {

class FormatProgram;

class FormatDecoder {
public:
  /// For weights of `type`, `[..., N, K]`; errors are emitted at `loc`.
  static llvm::FailureOr<FormatDecoder> get(WeightFormatAttrInterface format,
                                            mlir::RankedTensorType type,
                                            mlir::Location loc);
  FormatDecoder(FormatDecoder &&);
  ~FormatDecoder();

  /// The values of row `row`, each the exact one rounded to nearest even;
  /// `storage` are the tensors of the matrix in the order of the op's operands.
  llvm::LogicalResult decodeRow(llvm::ArrayRef<StoredRows> storage, int64_t row,
                                llvm::MutableArrayRef<float> values) const;

  /// Whether several rows may be decoded at once.
  bool isConcurrent() const { return static_cast<bool>(model); }

private:
  FormatDecoder();

  ReferenceFormatAttrInterface model;
  std::unique_ptr<FormatProgram> program;
};

/// What numbers of row `row` of weights in `format`, rows of `k`, stand for
/// nothing; empty if there are none. Who decodes such rows may get anything.
std::string findBadBits(WeightFormatAttrInterface format, int64_t k,
                        llvm::ArrayRef<StoredRows> storage, int64_t row);

} // namespace moe::reference

#endif // MOE_MLIR_REFERENCE_FORMATDECODER_H
