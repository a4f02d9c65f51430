//===- Suites.h - What can be benchmarked ----------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A suite is a list of models and of what to run them on. A model of a suite
// is one row in Suites.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_BENCH_SUITES_H
#define MOE_MLIR_BENCH_SUITES_H

#include "moe-mlir/Bench/Layer.h"

#include "llvm/ADT/StringRef.h"

namespace moe::bench {

struct SuiteModel {
  /// What the baselines compute; `model` is the name in rows.
  LayerSpec spec;
  /// A file of examples/models, without the extension.
  std::string config;
  /// Keys of the configuration to change, as a JSON object; empty: none.
  std::string changes;
  /// Experts kept; 0: all.
  int64_t keepExperts = 0;
};

struct Suite {
  std::string name, description;
  std::vector<SuiteModel> models;
  std::vector<std::string> formats;
  std::vector<int64_t> tokens;
  /// The least repeats and the size of a DRAM reading, for suites that only
  /// show that everything works.
  bool isQuick = false;
};

const std::vector<Suite> &allSuites();
const Suite *findSuite(llvm::StringRef name);

} // namespace moe::bench

#endif // MOE_MLIR_BENCH_SUITES_H
