//===- Profile.h - What was seen when a model ran ---------------- -*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A file that one program writes while a model runs, and others decide by:
// docs/profile.md has its members. What routers did, and what weights were
// multiplied with.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_ARTIFACT_PROFILE_H
#define MOE_MLIR_ARTIFACT_PROFILE_H

#include "moe-mlir/Artifact/RoutingProfile.h"

#include <cstdint>
#include <optional>
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
  /// How many of all values were not 0; older profiles do not tell.
  std::optional<int64_t> nonzero;
};

struct Profile {
  static constexpr const char *schema = "moe-profile";
  static constexpr int64_t version = 1;

  struct Weight {
    std::string name;
    int64_t columns = 0;
    std::vector<ActivationStatistics> experts;

    /// The share of values that were not 0, of one expert or of all; nothing
    /// where there were none, or where that is not known.
    std::optional<double> density(size_t expert) const;
    std::optional<double> density() const;
  };
  struct Function {
    std::string name;
    /// One for each router, in the order of the function; none if it has no
    /// router, or if nothing was seen of them.
    std::vector<RoutingProfile> routings;
    std::vector<Weight> weights;
  };
  std::vector<Function> functions;
  /// Of the file, for messages.
  std::string path = "profile";

  const Function *findFunction(const std::string &function) const;
  /// Null if nothing was seen of it.
  const Weight *find(const std::string &function,
                     const std::string &weight) const;

  /// What router number `router` of a function did, which chooses up to `slots`
  /// of `experts`. Null and a message, if the profile is of another model or
  /// does not have it.
  const RoutingProfile *findRouting(const std::string &function, size_t router,
                                    int64_t experts, int64_t slots,
                                    std::string &error) const;

  /// Adds what another profile of the same model saw. False and a message, and
  /// nothing added, if one of another model differs.
  bool merge(const Profile &other, std::string &error);
};

void writeProfile(llvm::raw_ostream &os, const Profile &profile);

/// Reads a file; an error names it and what is wrong in it. Members that nobody
/// knows are left alone.
bool readProfile(const std::string &path, Profile &profile, std::string &error);

} // namespace moe

#endif // MOE_MLIR_ARTIFACT_PROFILE_H
