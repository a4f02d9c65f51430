//===- Products.cpp - Products of rows with weights -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Weight rows are widened to double once, a few at a time, and then serve all
// rows of x.
//
//===----------------------------------------------------------------------===//

#include "Products.h"
#include "moe-mlir/Support/Parallel.h"

using namespace llvm;

namespace moe::reference {

namespace {

constexpr int64_t kLanes = 4;
constexpr int64_t kColumns = 16; // weight rows widened together
constexpr int64_t kRows = 32;    // rows of x that stay in cache meanwhile

/// Sums of `R` rows with `C` columns. Lane l of a sum adds the products of
/// k = l, l + 4, ...: the same order for every R and C.
template <int R, int C>
void dotTile(const double *const *x, const double *const *w, int64_t depth,
             double (&sums)[R][C]) {
  double lanes[R][C][kLanes] = {};
  int64_t whole = depth - depth % kLanes;
  for (int64_t k = 0; k < whole; k += kLanes)
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        for (int l = 0; l < kLanes; ++l)
          lanes[r][c][l] += x[r][k + l] * w[c][k + l];
  for (int64_t k = whole; k < depth; ++k)
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        lanes[r][c][k - whole] += x[r][k] * w[c][k];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c)
      sums[r][c] =
          (lanes[r][c][0] + lanes[r][c][1]) + (lanes[r][c][2] + lanes[r][c][3]);
}

template <int R, int C>
void addTile(const double *x, const double *w, int64_t depth, double *out,
             int64_t columns) {
  const double *xRows[R], *wRows[C];
  for (int r = 0; r < R; ++r)
    xRows[r] = x + r * depth;
  for (int c = 0; c < C; ++c)
    wRows[c] = w + c * depth;
  double sums[R][C];
  dotTile<R, C>(xRows, wRows, depth, sums);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c)
      out[r * columns + c] += sums[r][c];
}

/// Small products are not worth a thread.
int threadsFor(int64_t rows, int64_t columns, int64_t depth, unsigned threads) {
  return rows * columns * depth < (1 << 18) ? 1 : static_cast<int>(threads);
}

} // namespace

void addProductTransposed(const double *x, int64_t rows,
                          const HostTensor &weights, int64_t columns,
                          int64_t depth, double *out, unsigned threads) {
  auto block = [&](int64_t index) {
    int64_t begin = index * kColumns;
    int64_t count = std::min(kColumns, columns - begin);
    std::vector<double> w(count * depth);
    loadFloats(weights, begin * depth, count * depth, w.data());
    for (int64_t r0 = 0; r0 < rows; r0 += kRows) {
      int64_t rEnd = std::min(rows, r0 + kRows);
      int64_t c = 0;
      for (; c + 2 <= count; c += 2) {
        int64_t r = r0;
        for (; r + 2 <= rEnd; r += 2)
          addTile<2, 2>(x + r * depth, &w[c * depth], depth,
                        out + r * columns + begin + c, columns);
        for (; r < rEnd; ++r)
          addTile<1, 2>(x + r * depth, &w[c * depth], depth,
                        out + r * columns + begin + c, columns);
      }
      for (; c < count; ++c)
        for (int64_t r = r0; r < rEnd; ++r)
          addTile<1, 1>(x + r * depth, &w[c * depth], depth,
                        out + r * columns + begin + c, columns);
    }
  };
  parallelFor((columns + kColumns - 1) / kColumns, block,
              threadsFor(rows, columns, depth, threads));
}

void addProduct(const double *x, int64_t rows, const HostTensor &weights,
                int64_t columns, int64_t depth, double *out, unsigned threads) {
  constexpr int64_t kWide = 256;
  auto block = [&](int64_t index) {
    int64_t begin = index * kWide;
    int64_t count = std::min(kWide, columns - begin);
    std::vector<double> w(count);
    for (int64_t k = 0; k < depth; ++k) {
      loadFloats(weights, k * columns + begin, count, w.data());
      for (int64_t r = 0; r < rows; ++r) {
        double factor = x[r * depth + k];
        double *sums = out + r * columns + begin;
        for (int64_t n = 0; n < count; ++n)
          sums[n] += factor * w[n];
      }
    }
  };
  parallelFor((columns + kWide - 1) / kWide, block,
              threadsFor(rows, columns, depth, threads));
}

} // namespace moe::reference
