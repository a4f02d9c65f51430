//===- Cost.h - What a call is expected to take -----------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The time of a planned function, kernel by kernel, as the target's model of
// the chip sees it: before anything is measured, and for chips that are not
// there. What a chip does not say of itself makes a time unknown, never zero.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_TARGET_COST_H
#define MOE_MLIR_TARGET_COST_H

#include "moe-mlir/Analysis/Work.h"
#include "moe-mlir/Target/Target.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moe {

/// How many rows the experts of a kernel get, in groups of experts alike.
struct RowsOfExperts {
  struct Group {
    double experts = 0;
    /// How likely one of them gets 0, 1, ... rows.
    std::vector<double> likelihood;
  };
  std::vector<Group> groups;
  /// In all, and of experts that have any.
  double rows = 0, active = 0;

  void add(double experts, std::vector<double> likelihood);
  /// `tokens` tokens that choose `slots` of `experts` experts all alike.
  void addEven(double tokens, int64_t experts, int64_t slots);
  /// `experts` experts with just as many rows.
  void addExact(double experts, int64_t rows);
  /// Those of `count` experts from `begin` on.
  RowsOfExperts slice(double begin, double count) const;
};

/// What a kernel is asked about with.
class CostContext {
public:
  CostContext(const WorkContext &sizes, int threads)
      : sizes(sizes), threads(threads) {}

  const WorkContext &sizes;
  const int threads;
  /// Bytes of all weights that the call reads: what caches cannot hold comes
  /// from memory every time.
  double weightBytes = 0;
  /// By the `offsets` of routings; null when nothing is known.
  const RowsOfExperts *rows(mlir::Value offsets) const;

private:
  friend class CostCounter;
  llvm::DenseMap<mlir::Value, RowsOfExperts> known;
};

/// What a kernel takes.
struct KernelCost {
  /// As traces call it.
  std::string phase;
  double operations = 0, bytes = 0;
  /// Negative where the chip does not say enough.
  double seconds = -1;
  /// What its time is spent on: "compute", "memory", "cache", "latency",
  /// "threads".
  std::string bound;
};

struct CallCost {
  std::vector<KernelCost> kernels;
  /// What is not in the sum.
  std::vector<std::string> unknown;

  /// Negative if that of any kernel is, or without any.
  double seconds() const;
  /// That of the kernel with the most time; empty where that is not known.
  std::string bound() const;
};

/// The cost of a call of `function`, which has schedules, for its chip.
CallCost estimateCall(mlir::func::FuncOp function,
                      moek::TargetAttrInterface chip,
                      const std::map<std::string, int64_t> &sizes, int threads);

} // namespace moe

#endif // MOE_MLIR_TARGET_COST_H
