//===- Suites.h - What can be benchmarked -----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A suite is a list of models and of what to run them on: a file of
// benchmarks/suites. A layer of one's own is a suite of one model.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_SUITES_H
#define MOE_MLIR_BENCH_SUITES_H

#include "moe-mlir/Bench/Layer.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace moe::bench {

struct BenchModel {
  /// In rows.
  std::string name;
  /// The configuration: a path, or the name of one in the folder of models.
  std::string config;
  /// Keys of the configuration to change, as a JSON object; empty: none.
  std::string changes;
  /// Experts kept; 0: all.
  int64_t keepExperts = 0;
  /// Instead of a configuration; and which of its functions, empty for the only
  /// one.
  mlir::ModuleOp module;
  std::string entry;
  /// What hand-written baselines compute. Written a second time beside the
  /// configuration: one that asked the compiler could not disagree.
  std::optional<LayerSpec> baseline;
  /// As Options has it.
  double zipf = 0;
};

struct Suite {
  std::string name, description;
  std::vector<BenchModel> models;
  /// Types of the weights; one that is empty leaves them as they are.
  std::vector<std::string> formats;
  std::vector<int64_t> tokens;
  /// The least repeats and the size of a DRAM reading, for suites that only
  /// show that everything works.
  bool isQuick = false;
};

/// The names of the suites in a folder, sorted.
std::vector<std::string> listSuites(const std::string &folder);

/// Those of a folder that can be read; the others say why when they are asked
/// for.
std::vector<Suite> readSuites(const std::string &folder);

/// What they hold, for people; and the ones that no file describes.
void printSuites(llvm::raw_ostream &os, const std::string &folder);

/// Reads a suite of a folder by its name, or any by the path of its file.
bool readSuite(const std::string &folder, const std::string &name, Suite &suite,
               std::string &error);

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_SUITES_H
