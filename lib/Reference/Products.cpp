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

/// Sums of `R` rows with `C` columns, and of the squares of their terms if
/// `Squares`. Lane l of a sum adds the products of k = l, l + 4, ...: the same
/// order for every R and C.
template <int R, int C, bool Squares>
void dotTile(const double *const *x, const double *const *w, int64_t depth,
             double (&sums)[R][C], double (&squares)[R][C]) {
  double lanes[R][C][kLanes] = {}, squareLanes[R][C][kLanes] = {};
  auto add = [&](int r, int c, int l, double product) {
    lanes[r][c][l] += product;
    if constexpr (Squares)
      squareLanes[r][c][l] += product * product;
  };
  int64_t whole = depth - depth % kLanes;
  for (int64_t k = 0; k < whole; k += kLanes)
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        for (int l = 0; l < kLanes; ++l)
          add(r, c, l, x[r][k + l] * w[c][k + l]);
  for (int64_t k = whole; k < depth; ++k)
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c)
        add(r, c, k - whole, x[r][k] * w[c][k]);
  auto total = [](const double(&from)[kLanes]) {
    return (from[0] + from[1]) + (from[2] + from[3]);
  };
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      sums[r][c] = total(lanes[r][c]);
      squares[r][c] = total(squareLanes[r][c]);
    }
}

/// The matrix that a product is added to.
struct Output {
  double *data;
  int64_t columns, depth;
  const ProductErrors &errors;

  void add(int64_t row, int64_t column, double sum, double squares) const {
    int64_t index = row * columns + column;
    if (errors.unit > 0.0)
      sum += RoundingErrors::sumError(sum, squares, depth, errors.unit,
                                      errors.key, index);
    data[index] += sum;
  }
};

/// Rows from `row` on, columns from `column` on; `x` and `w` are the first of
/// them.
template <int R, int C>
void addTile(const double *x, const double *w, const Output &out, int64_t row,
             int64_t column) {
  const double *xRows[R], *wRows[C];
  for (int r = 0; r < R; ++r)
    xRows[r] = x + r * out.depth;
  for (int c = 0; c < C; ++c)
    wRows[c] = w + c * out.depth;
  double sums[R][C], squares[R][C];
  if (out.errors.unit > 0.0)
    dotTile<R, C, true>(xRows, wRows, out.depth, sums, squares);
  else
    dotTile<R, C, false>(xRows, wRows, out.depth, sums, squares);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c)
      out.add(row + r, column + c, sums[r][c], squares[r][c]);
}

/// Small products are not worth a thread.
int threadsFor(int64_t rows, int64_t columns, int64_t depth, unsigned threads) {
  return rows * columns * depth < (1 << 18) ? 1 : static_cast<int>(threads);
}

} // namespace

void addProductTransposed(const double *x, int64_t rows,
                          const HostTensor &weights, int64_t columns,
                          int64_t depth, double *data, unsigned threads,
                          const ProductErrors &errors) {
  Output out{data, columns, depth, errors};
  auto block = [&](int64_t index) {
    int64_t begin = index * kColumns;
    int64_t count = std::min(kColumns, columns - begin);
    std::vector<double> w(count * depth);
    loadFloats(weights, begin * depth, count * depth, w.data());
    errors.narrow(w, begin * depth);
    for (int64_t r0 = 0; r0 < rows; r0 += kRows) {
      int64_t rEnd = std::min(rows, r0 + kRows);
      int64_t c = 0;
      for (; c + 2 <= count; c += 2) {
        int64_t r = r0;
        for (; r + 2 <= rEnd; r += 2)
          addTile<2, 2>(x + r * depth, w.data() + c * depth, out, r, begin + c);
        for (; r < rEnd; ++r)
          addTile<1, 2>(x + r * depth, w.data() + c * depth, out, r, begin + c);
      }
      for (; c < count; ++c)
        for (int64_t r = r0; r < rEnd; ++r)
          addTile<1, 1>(x + r * depth, w.data() + c * depth, out, r, begin + c);
    }
  };
  parallelFor((columns + kColumns - 1) / kColumns, block,
              threadsFor(rows, columns, depth, threads));
}

void addProduct(const double *x, int64_t rows, const HostTensor &weights,
                int64_t columns, int64_t depth, double *data, unsigned threads,
                const ProductErrors &errors) {
  constexpr int64_t kWide = 256;
  Output out{data, columns, depth, errors};
  auto block = [&](int64_t index) {
    int64_t begin = index * kWide;
    int64_t count = std::min(kWide, columns - begin);
    bool hasErrors = errors.unit > 0.0;
    std::vector<double> w(count), sums(rows * count),
        squares(hasErrors ? rows * count : 0);
    for (int64_t k = 0; k < depth; ++k) {
      loadFloats(weights, k * columns + begin, count, w.data());
      errors.narrow(w, k * columns + begin);
      for (int64_t r = 0; r < rows; ++r) {
        double factor = x[r * depth + k];
        double *rowSums = sums.data() + r * count;
        for (int64_t n = 0; n < count; ++n)
          rowSums[n] += factor * w[n];
        if (!hasErrors)
          continue;
        double *rowSquares = squares.data() + r * count;
        for (int64_t n = 0; n < count; ++n)
          rowSquares[n] += (factor * w[n]) * (factor * w[n]);
      }
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t n = 0; n < count; ++n)
        out.add(r, begin + n, sums[r * count + n],
                hasErrors ? squares[r * count + n] : 0.0);
  };
  parallelFor((columns + kWide - 1) / kWide, block,
              threadsFor(rows, columns, depth, threads));
}

} // namespace moe::reference
