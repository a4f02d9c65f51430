//===- Profile.h - What was seen when a model ran ---------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A file that one program writes while a model runs, and others decide by:
// docs/quantize.md has its members. What weights were multiplied with, for now.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_PROFILE_H
#define MOE_MLIR_ARTIFACT_PROFILE_H

#include <cstdint>
#include <string>
#include <vector>

namespace llvm {
class raw_ostream;
} // namespace llvm

namespace moe {

/// Activations that an expert's matrix was multiplied with.
struct ActivationStatistics {
  int64_t rows = 0;
  /// One for each column of the matrix; none without rows.
  std::vector<double> meanSquares;
};

struct Profile {
  static constexpr const char *schema = "moe-profile";
  static constexpr int64_t version = 1;

  struct Weight {
    std::string name;
    int64_t columns = 0;
    std::vector<ActivationStatistics> experts;
  };
  struct Function {
    std::string name;
    std::vector<Weight> weights;
  };
  std::vector<Function> functions;

  /// Null if nothing was seen of it.
  const Weight *find(const std::string &function,
                     const std::string &weight) const;
};

void writeProfile(llvm::raw_ostream &os, const Profile &profile);

/// Reads a file; an error names it and what is wrong in it. Members that nobody
/// knows are left alone.
bool readProfile(const std::string &path, Profile &profile, std::string &error);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_PROFILE_H
