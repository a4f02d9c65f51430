//===- Quantize.h - A model with its weights stored otherwise --*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_QUANTIZE_QUANTIZE_H
#define MOE_MLIR_QUANTIZE_QUANTIZE_H

#include "moe-mlir/Artifact/PackedWeights.h"
#include "moe-mlir/Artifact/Profile.h"
#include "moe-mlir/Quantize/Convert.h"
#include "moe-mlir/Support/Progress.h"

namespace moe {
class Checkpoint;
} // namespace moe

namespace moe::quantize {

/// A pattern of names, `*` and `?` as in shells, and what weights become; null
/// to keep them.
struct WeightRule {
  std::string pattern;
  std::optional<WeightType> to;
  /// Experts, if not all of them are meant.
  std::optional<std::pair<int64_t, int64_t>> experts = {};
};

/// Reads "q4_k", or "PATTERN=q4_k,PATTERN@0-15=f32,PATTERN=keep".
bool parseRules(mlir::MLIRContext &context, llvm::StringRef text,
                std::vector<WeightRule> &rules, std::string &error);

/// Reads "q4_k,bf16,keep"; `option` is what errors name.
bool parseTypes(mlir::MLIRContext &context, llvm::StringRef text,
                llvm::StringRef option,
                std::vector<std::optional<WeightType>> &types,
                std::string &error);

/// Gives each weight, or each of its experts, what the first rule says whose
/// pattern is its name, or "<function>/<name>"; another one keeps what the
/// model says. A weight of several types becomes its ranges. A rule without any
/// weight is an error, and so is a format that cannot store one.
bool applyRules(llvm::ArrayRef<WeightRule> rules,
                std::vector<ModelWeight> &weights, std::string &error);

struct QuantizeOptions {
  std::vector<WeightRule> rules;
  /// The tensors of the model, by the names of its arguments.
  const TensorPool &tensors;
  /// Has those that are not among `tensors` and that functions tell of in
  /// `moe.checkpoint`; or null.
  const Checkpoint *checkpoint = nullptr;
  /// Makes up those that are missing.
  std::optional<uint64_t> seed = {};
  /// What weights are multiplied with, or null.
  const Profile *profile = nullptr;
  /// Whether formats that store no zeros choose which weights become zeros; else
  /// these have to be there.
  bool prunes = false;
  /// Threads, 0 for one for each CPU.
  unsigned threads = 0;
  /// Told of bytes of the source.
  ProgressFn progress = {};
};

/// Converts the weights of `module` that rules name, changes the module so that
/// they are stored so, and adds to `outputs` the file `path` with them and all
/// other tensors; without a `path` the errors are all that is made. An error
/// names the tensor and what is wrong in it. Diagnostics tell of a module that
/// is wrong.
bool quantizeModel(mlir::ModuleOp module, const QuantizeOptions &options,
                   OutputSet &outputs, const std::string &path,
                   QuantizeReport &report, std::vector<LeftWeight> &left,
                   std::string &error);

/// Whether what was seen of a weight can be of this one; `problem` if not.
bool checkProfile(const Profile::Weight &met, const ModelWeight &weight,
                  std::string &problem);

/// What errors in each column of each of `experts` matrices count, 1 in the
/// mean: by the mean squares of what an expert met, and where that was little
/// of what all of them met. Empty if nothing was met.
std::vector<std::vector<float>> getImportance(const Profile::Weight &weight);

/// The report for programs: docs/quantize.md has its members.
void writeJson(llvm::raw_ostream &os, const QuantizeReport &report);

} // namespace moe::quantize

#endif // MOE_MLIR_QUANTIZE_QUANTIZE_H
