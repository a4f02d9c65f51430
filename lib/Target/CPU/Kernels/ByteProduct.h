//===- ByteProduct.h - Instructions that multiply bytes --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_TARGET_CPU_KERNELS_BYTEPRODUCT_H
#define MOE_LIB_TARGET_CPU_KERNELS_BYTEPRODUCT_H

#include "QuantizedRows.h"

namespace moe {

/// Vectors of codes, four of a column in each lane, times four bytes of rows. Sums
/// are exact, so that it does not matter what forms them.
class ByteProduct {
public:
  using Value = mlir::Value;
  /// Word `word` of the codes of vector `v`, i32.
  using Codes = llvm::function_ref<Value(int64_t word, int64_t v)>;
  /// Where the four bytes for it are in row (and plane) `row`: those of a later
  /// word are at a later address.
  using Bytes = llvm::function_ref<Value(int64_t word, int64_t row)>;

  ByteProduct(Emitter &e, const QuantizedRows &rows, int64_t lanes)
      : e(e), rows(rows), lanes(lanes),
        intType(e.vec(lanes, e.getI32Type())) {}
  virtual ~ByteProduct() = default;

  /// Adds `words` of them to `sums`, i32: row by row, of each `vectors`.
  virtual void add(int64_t words, int64_t vectors, Codes codes, Bytes bytes,
                   llvm::MutableArrayRef<Value> sums) = 0;

protected:
  Value call(llvm::StringRef intrinsic, mlir::Type type,
             mlir::ValueRange operands);
  /// As they are multiplied: with a sign or without one.
  Value withSign(Value codes);
  /// As bytes, or numbers of 16 bits.
  Value asBytes(Value v) { return cast(v, 4, e.getI8Type()); }
  Value asHalves(Value v) { return cast(v, 2, e.getI16Type()); }

  Emitter &e;
  const QuantizedRows &rows;
  int64_t lanes;
  mlir::VectorType intType;

private:
  Value cast(Value v, int64_t ofLane, mlir::Type element);
};

/// By the instruction that `schedule` says.
std::unique_ptr<ByteProduct> createByteProduct(Emitter &e,
                                               const QuantizedRows &rows,
                                               moecpu::ScheduleAttr schedule);

} // namespace moe

#endif // MOE_LIB_TARGET_CPU_KERNELS_BYTEPRODUCT_H
