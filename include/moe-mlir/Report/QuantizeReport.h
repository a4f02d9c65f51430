//===- QuantizeReport.h - What conversions of weights cost -----*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Errors of each weight and each of its experts: as text, for programs, and as
// a page.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_REPORT_QUANTIZEREPORT_H
#define MOE_MLIR_REPORT_QUANTIZEREPORT_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace moe {

/// How far some stored values y are from the values x that they stand for.
struct WeightError {
  int64_t count = 0;
  double largest = 0;
  /// Sums of (y - x)^2, x^2, y^2 and x y.
  double errors = 0, given = 0, stored = 0, products = 0;
  /// The first two with each column times the mean square of what it is
  /// multiplied with: of errors and values of the product.
  double weightedErrors = 0, weightedGiven = 0;

  void add(const WeightError &other);

  double rms() const;
  /// In parts of the root mean square of the values.
  double relative() const;
  /// Of the product, in parts of the product.
  double weighted() const;
  /// Of formats that store no zeros: the part of the sum of squares that is
  /// stored, and of that with each column times what it counts.
  double kept() const;
  double weightedKept() const;
  /// Between all values and all stored values; 1 if both are zeros.
  double cosine() const;
};

struct QuantizeReport {
  struct Weight {
    std::string function, name;
    /// Formats, or types of numbers.
    std::string from, to;
    int64_t rows = 0, columns = 0;
    int64_t bytesFrom = 0, bytesTo = 0;
    /// Whether activation statistics were used.
    bool hasImportance = false;
    std::vector<WeightError> experts;

    WeightError all() const;
    double bits() const;
    size_t worst() const; ///< By the relative error.
  };

  /// What the page is about; a model's name.
  std::string title;
  /// Further lines of the header: name and text.
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<Weight> weights;
};

/// A line for each weight, and with `eachExpert` one for each expert below it.
std::string printText(const QuantizeReport &report, bool eachExpert);
/// The same of what formats that store no zeros keep.
std::string printKept(const QuantizeReport &report, bool eachExpert);
/// A page that needs nothing else.
std::string printHtml(const QuantizeReport &report);

} // namespace moe

#endif // MOE_MLIR_REPORT_QUANTIZEREPORT_H
