//===- SpecMath.h - The mathematics of MoE layers ---------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Orders, selections, score functions and activations on plain numbers: no
// IR, no types, one function for each definition.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_SPECMATH_H
#define MOE_LIB_REFERENCE_SPECMATH_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>

namespace moe::reference {

/// Larger first, NaN after every number, the lower index first among equals.
bool ranksBefore(double a, int64_t indexA, double b, int64_t indexB);

/// Indices of `scores` from best to worst.
llvm::SmallVector<int64_t> rank(llvm::ArrayRef<double> scores);

/// Appends the indices of the `k` best.
void selectTopK(llvm::ArrayRef<double> scores, int64_t k,
                llvm::SmallVectorImpl<int32_t> &slots);

/// How the scores of a group of experts become the score of the group. A NaN
/// in the group makes the group's score NaN.
enum class GroupScore { Max, Top2 };

/// Like selectTopK, after the scores outside the `keep` best of `groups` equal
/// groups have become -inf.
void selectGroupTopK(llvm::ArrayRef<double> scores, int64_t k, int64_t groups,
                     int64_t keep, GroupScore groupScore,
                     llvm::SmallVectorImpl<int32_t> &slots);

/// All NaN when a value is NaN or +inf, or when all are -inf.
void softmax(llvm::MutableArrayRef<double> values);

/// v / (sum v + eps).
void normalizeSum(llvm::MutableArrayRef<double> values, double eps);
/// v / max(sum v, minimum).
void normalizeClamp(llvm::MutableArrayRef<double> values, double minimum);
/// v / (sum |v|^p)^(1/p).
void normalizeP(llvm::MutableArrayRef<double> values, double p);

double sigmoid(double v);
double silu(double v);
double gelu(double v);
double geluTanh(double v);
double quickGelu(double v);
double relu(double v);
double clampedSwiglu(double gate, double up, double alpha, double limit,
                     double offset);

/// Minimum and maximum that return NaN when either argument is one.
double minimum(double a, double b);
double maximum(double a, double b);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_SPECMATH_H
