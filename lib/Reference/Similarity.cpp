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

static double dot(ArrayRef<double> a, ArrayRef<double> b) {
  double sum = 0.0;
  for (auto [x, y] : zip_equal(a, b))
    sum += x * y;
  return sum;
}

static double similarity(SimilarityMetric metric, ArrayRef<double> x,
                         ArrayRef<double> c) {
  switch (metric) {
  case SimilarityMetric::Dot:
    return dot(x, c);
  case SimilarityMetric::Cosine: {
    double scale = maximum(std::sqrt(dot(x, x)), 1e-12) *
                   maximum(std::sqrt(dot(c, c)), 1e-12);
    return dot(x, c) / scale;
  }
  case SimilarityMetric::L2: {
    double sum = 0.0;
    for (auto [a, b] : zip_equal(x, c))
      sum += (a - b) * (a - b);
    return -sum;
  }
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
  std::vector<double> row(width), centroid(width);
  for (int64_t t = 0; t < tokens; ++t) {
    loadFloats(*x, t * width, width, row.data());
    for (int64_t e = 0; e < experts; ++e) {
      loadFloats(*centroids, e * width, width, centroid.data());
      storeElement(**scores, t * experts + e,
                   makeFloat(similarity(op.getMetric(), row, centroid)));
    }
  }
  machine.set(op.getScores(), *scores);
  return checkShape(op, op.getScores().getType(), {tokens, experts},
                    "the result");
}

void addSimilarityOp(HandlerTable &table) {
  table.add<SimilarityOp>(executeSimilarity);
}

} // namespace moe::reference
