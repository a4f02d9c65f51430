//===- Errors.h - What formats lose -------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Errors are those of the encoders that convert weights, on the weights
// themselves or on normal draws. Of large weights some rows of each expert are
// looked at.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_FIT_ERRORS_H
#define MOE_LIB_FIT_ERRORS_H

#include "moe-mlir/Fit/Fit.h"

#include <map>

namespace moe::fit {

struct Loss {
  /// The mean square of errors in parts of that of the values; infinite where a
  /// type cannot hold them.
  double square = 0;
  /// What each expert adds to it, and its part of all rows; empty if all are
  /// alike.
  std::vector<double> experts, shares;

  /// What the experts of `weight`, which may be a range, add to it.
  double getPart(const ModelWeight &weight) const;
  /// The square of their own error.
  double getOwn(const ModelWeight &weight) const;
};

class ErrorModel {
public:
  explicit ErrorModel(const FitOptions &options) : options(options) {}

  /// What each of `types` loses of a whole weight. An error says what is wrong
  /// with the tensor or the profile.
  bool measure(const ModelWeight &weight, llvm::ArrayRef<WeightType> types,
               std::vector<Loss> &losses, std::string &error);

private:
  /// Some rows of each expert, or those that stand for all of them.
  struct Sample {
    WeightType type;
    int64_t rows = 0;
    std::vector<std::vector<uint8_t>> experts;
    /// What errors in each column of an expert count, or nothing, and what the
    /// expert counts.
    std::vector<std::vector<float>> importance;
    std::vector<double> shares;

    const uint8_t *get(int64_t expert) const {
      return experts[experts.size() == 1 ? 0 : expert].data();
    }
  };

  bool readWeight(const ModelWeight &weight, const HostTensor *&tensor,
                  std::string &error) const;
  bool readProfile(const ModelWeight &weight, Sample &sample,
                   std::string &error) const;
  Loss measureOne(const ModelWeight &weight, const Sample &sample,
                  const WeightType &to) const;

  const FitOptions &options;
  /// Of normal draws without a profile: by the columns, and the type.
  std::map<std::pair<int64_t, std::string>, Loss> known;
};

} // namespace moe::fit

#endif // MOE_LIB_FIT_ERRORS_H
