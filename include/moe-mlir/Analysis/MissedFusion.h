//===- MissedFusion.h - What a fusion would have saved ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Every fusion that does not happen is said in one form: what happens instead,
// why, what would make it happen, and what that would save. Passes write it
// here, and `--report` reads it back.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ANALYSIS_MISSEDFUSION_H
#define MOE_MLIR_ANALYSIS_MISSEDFUSION_H

#include "mlir/IR/Operation.h"

#include <string>

namespace moe {

/// Arguments of the remark, beside its text: bytes that are written and read
/// again for each token, and the symbol of the function.
inline constexpr llvm::StringLiteral kBytesOfTokenKey = "BytesOfToken";
inline constexpr llvm::StringLiteral kFunctionKey = "Function";

/// Rows that are written to memory and read again where a fusion would hand
/// them over in registers.
struct StoredRows {
  /// `[rows]` or `[rows, N]`.
  mlir::Value rows;
  /// How many of them a token has: 1, or K where there is one an assignment.
  int64_t ofToken = 1;

  /// Bytes written and read for each token; 0 if they are not known.
  int64_t getBytesOfToken() const;
};

struct MissedFusion {
  /// What happens instead: "gathered rows are stored".
  std::string instead;
  std::string why;
  /// What would make the fusion happen.
  std::string remedy;
  StoredRows stored = {};
  /// The name of the remark.
  llvm::StringRef name = "not-fused";
};

/// Reports at `op` that `pass` did not fuse, as a missed remark.
void reportMissed(mlir::Operation *op, llvm::StringRef pass,
                  const MissedFusion &missed);

} // namespace moe

#endif // MOE_MLIR_ANALYSIS_MISSEDFUSION_H
