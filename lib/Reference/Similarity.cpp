//===- Similarity.cpp - moe.similarity in float64 ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Machine.h"
#include "Scalars.h"
#include "SpecMath.h"
#include "moe/Moe.h"
#include <cmath>

using namespace llvm;
using namespace mlir;

namespace moe::reference {

namespace {
/// Sums of terms, with the errors of sums in `format`.
struct Sums {
  RoundingErrors &rounding;
  NumberFormat format;

  template <typename Fn>
  double sum(ArrayRef<double> a, ArrayRef<double> b, Fn term) {
    double total = 0.0, squares = 0.0;
    for (auto [x, y] : zip_equal(a, b)) {
      double value = term(x, y);
      total += value;
      squares += value * value;
    }
    if (rounding.isOn())
      total += RoundingErrors::sumError(total, squares, a.size(), format.unit,
                                        rounding.newKey(), 0);
    return total;
  }

  double dot(ArrayRef<double> a, ArrayRef<double> b) {
    return sum(a, b, [](double x, double y) { return x * y; });
  }
};
} // namespace

static double similarity(Sums sums, SimilarityMetric metric, ArrayRef<double> x,
                         ArrayRef<double> c) {
  switch (metric) {
  case SimilarityMetric::Dot:
    return sums.dot(x, c);
  case SimilarityMetric::Cosine: {
    double scale = maximum(std::sqrt(sums.dot(x, x)), 1e-12) *
                   maximum(std::sqrt(sums.dot(c, c)), 1e-12);
    return sums.dot(x, c) / scale;
  }
  case SimilarityMetric::L2:
    return -sums.sum(x, c,
                     [](double a, double b) { return (a - b) * (a - b); });
  }
  llvm_unreachable("unknown metric");
}

static LogicalResult executeSimilarity(Machine &machine, SimilarityOp op) {
  ArrayPtr x = machine.getArray(op.getX());
  ArrayPtr centroids = machine.getArray(op.getCentroids());
  int64_t tokens = x->shape[0], width = x->shape[1];
  int64_t experts = centroids->shape[0];
  if (centroids->shape[1] != width)
    return op.emitOpError("has centroids of shape ")
           << formatShape(centroids->shape) << " for rows of " << width
           << " values";
  FailureOr<MutableArrayPtr> scores =
      machine.allocate(op, op.getScores().getType(), {tokens, experts});
  if (failed(scores))
    return failure();
  // In f32 at least.
  Sums sums{machine.rounding,
            NumberFormat::get(op.getScores().getType()).working()};
  std::vector<double> row(width), centroid(width);
  for (int64_t t = 0; t < tokens; ++t) {
    loadFloats(*x, t * width, width, row.data());
    for (int64_t e = 0; e < experts; ++e) {
      loadFloats(*centroids, e * width, width, centroid.data());
      storeElement(**scores, t * experts + e,
                   makeFloat(similarity(sums, op.getMetric(), row, centroid)));
    }
  }
  // Square roots and a quotient.
  machine.round(**scores, op.getScores().getType(), 4.0);
  machine.set(op.getScores(), *scores);
  return checkShape(op, op.getScores().getType(), {tokens, experts},
                    "the result");
}

void addSimilarityOp(HandlerTable &table) {
  table.add<SimilarityOp>(executeSimilarity);
}

} // namespace moe::reference
