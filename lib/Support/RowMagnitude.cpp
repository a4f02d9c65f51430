//===- RowMagnitude.cpp - What errors are relative to -----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "moe-mlir/Support/RowMagnitude.h"

#include <algorithm>
#include <cmath>

double moe::rowMagnitude(const HostTensor &tensor, int64_t begin, int64_t end) {
  double largest = 0.0, sum = 0.0;
  for (int64_t i = begin; i < end; ++i)
    if (double size = std::fabs(tensor.get(i)); std::isfinite(size))
      largest = std::max(largest, size);
  if (largest == 0.0)
    return 1.0;
  // In parts of the largest, because squares leave the range of a double.
  int64_t count = 0;
  for (int64_t i = begin; i < end; ++i)
    if (double part = tensor.get(i) / largest; std::isfinite(part)) {
      sum += part * part;
      ++count;
    }
  return largest * std::sqrt(sum / count);
}
