//===- Routing.h - Routing kernels beside plain C++ ------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The suite `routing` of moe-bench: selection and packing on their own, in
// cycles a score, beside the same in plain C++; and whole routers beside the
// time that the rest of their layer takes at least.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_ROUTING_H
#define MOE_MLIR_BENCH_ROUTING_H

#include "llvm/Support/raw_ostream.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace moe::bench {

/// What a row of the suite routes.
struct RoutingCase {
  enum Kind { TopAny, TopK, GroupTopK };
  std::string name;
  Kind kind = TopK;
  int64_t experts = 8;
  int64_t slots = 2;
  int64_t groups = 1, keptGroups = 1;
  int64_t tokens = 1024;
  /// Experts that fire for each token (TopAny).
  int64_t firing = 0;
};

/// A routing as both sides give it.
struct RoutingLists {
  std::vector<int32_t> offsets; ///< [experts + 1]
  std::vector<int32_t> tokens;  ///< by expert, then token
};

/// Plain C++: what one writes without a compiler for it. Scores are
/// [experts, tokens] of TopAny and [tokens, experts] of the others.
void routePlainly(const RoutingCase &what, const float *scores,
                  const float *thresholds, RoutingLists &lists);

struct RoutingRow {
  RoutingCase what;
  double nanoseconds = 0;    ///< median, one thread
  double cyclesPerScore = 0; ///< of the core's clock in this run
  double plainOverOurs = 0;  ///< time of plain C++ by ours
};

struct LayerShareRow {
  std::string model;
  int64_t tokens = 0;
  int threads = 1;
  double microseconds = 0; ///< router, from x to the routing
  double share = 0;        ///< of the least time of the layer in bf16
};

struct RoutingReport {
  double coreGHz = 0;
  std::vector<RoutingRow> rows;
  std::vector<LayerShareRow> shares;
};

/// Runs the suite and prints a line for each row as it is there. `quick` only
/// shows that everything works.
bool runRoutingSuite(mlir::MLIRContext &context, bool quick,
                     llvm::raw_ostream &os, RoutingReport &report,
                     std::string &error);

void printJson(llvm::raw_ostream &os, const RoutingReport &report);

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_ROUTING_H
