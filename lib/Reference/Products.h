//===- Products.h - Products of rows with weights ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The one place of the interpreter that is written for speed.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_PRODUCTS_H
#define MOE_LIB_REFERENCE_PRODUCTS_H

#include "Rounding.h"
#include "Values.h"

namespace moe::reference {

/// The errors of the sums of a product, or none.
struct ProductErrors {
  double unit = 0.0;
  uint64_t key = 0;
  /// Of weights that are rounded to bf16 before; 0 where they are not.
  uint64_t weightKey = 0;

  ProductErrors() = default;
  /// Errors of sums that are kept in `format`.
  ProductErrors(RoundingErrors &rounding, const NumberFormat &format,
                bool narrowsWeights = false)
      : unit(rounding.isOn() ? format.unit : 0.0), key(rounding.newKey()),
        weightKey(narrowsWeights ? rounding.newKey() : 0) {}

  /// Weights from number `first` on.
  void narrow(llvm::MutableArrayRef<double> weights, int64_t first) const {
    if (weightKey)
      for (auto [i, w] : llvm::enumerate(weights))
        w = RoundingErrors::round(w, NumberFormat::bf16(), weightKey,
                                  first + i);
  }
};

/// out[r, n] += sum_k x[r, k] * w[n, k] in double. `weights` is [columns,
/// depth] in any float type. Each sum has one fixed order, whatever the number
/// of rows and threads.
void addProductTransposed(const double *x, int64_t rows,
                          const HostTensor &weights, int64_t columns,
                          int64_t depth, double *out, unsigned threads,
                          const ProductErrors &errors);

/// out[r, n] += sum_k x[r, k] * w[k, n].
void addProduct(const double *x, int64_t rows, const HostTensor &weights,
                int64_t columns, int64_t depth, double *out, unsigned threads,
                const ProductErrors &errors);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_PRODUCTS_H
