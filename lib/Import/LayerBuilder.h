//===- LayerBuilder.h - Writes the IR of one MoE layer ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The vocabulary that families write layers in: scores, a router, experts, a
// shared expert, the sum. It writes the textual form, which is the documented
// interface of the dialect; the driver parses and verifies it. Each weight that
// is used becomes an argument of the function under its `moe.name`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_LAYERBUILDER_H
#define MOE_MLIR_LIB_IMPORT_LAYERBUILDER_H

#include "Model.h"

#include "moe-mlir/Import/Import.h"

#include "llvm/ADT/ArrayRef.h"

namespace moe::importer {

/// An SSA value and its type, as text.
struct Value {
  std::string name;
  std::string type;
};

/// The shape of a feed-forward block; the hidden size is the model's.
struct FFN {
  int64_t intermediate;
  std::string activation;
  bool gated = true;
  bool bias = false;
};

class LayerBuilder {
public:
  /// Matrices of experts are stored in `format`, unless it is null.
  LayerBuilder(const Model &model, const ImportOptions &options,
               WeightFormatAttrInterface format);

  /// x Wr^T, plus the router's bias.
  Value logits(bool bias = false);
  Value softmax(const Value &scores);
  Value sigmoid(const Value &scores);
  /// Adds the per-expert bias that only the selection sees.
  Value addCorrectionBias(const Value &scores);

  /// Chooses the model's number of experts a token. `weighing` is a list of
  /// attributes; when it is empty the chosen values are the weights. A policy
  /// that makes the values itself has no `weigh`.
  Value route(const std::string &policy, const Value &select,
              const Value &weigh, llvm::ArrayRef<std::string> weighing = {});
  /// Keeps the first `capacity` arrivals at each expert.
  Value limit(const Value &routing, int64_t capacity);
  /// Keeps ceil(factor T K / E) of them.
  Value limitByFactor(const Value &routing, double factor);
  /// Computes the weights of what was kept anew.
  Value reweigh(const Value &routing, llvm::ArrayRef<std::string> weighing);

  /// Runs the experts. With `weightInput` the weight of an assignment scales
  /// the expert's input, and its output is then summed as it is.
  void experts(const Value &routing, const FFN &ffn, bool weightInput = false);
  /// An expert that every token passes, added to the routed sum; with
  /// `sigmoidGate` it is scaled by sigmoid(x g^T) first.
  void shared(const FFN &ffn, bool sigmoidGate = false);

  /// The function that holds everything written so far.
  std::string finish(int64_t layer, llvm::StringRef modelName);

  /// Why the model cannot be written, if that is so.
  const std::string &getProblem() const { return problem; }

private:
  std::string fresh(llvm::StringRef stem);
  /// Writes an op with one result, named after `stem`.
  Value define(llvm::StringRef stem, const std::string &type,
               const std::string &op);
  std::string tensorType(llvm::ArrayRef<int64_t> shape,
                         llvm::StringRef elementType) const;
  /// tensor<T x width x f32>
  std::string rowsType(int64_t width) const;
  Value argument(llvm::StringRef name, llvm::ArrayRef<int64_t> shape,
                 llvm::StringRef elementType);
  /// A weight or a bias of experts.
  Value expertArgument(llvm::StringRef name, llvm::ArrayRef<int64_t> shape,
                       bool isBias);
  /// A weight that is stored in `format`.
  Value storedWeight(llvm::StringRef name, llvm::ArrayRef<int64_t> shape);
  Value empty(const std::string &type);
  Value matmul(llvm::StringRef stem, const Value &rows, const Value &weight,
               int64_t width);
  Value elementwise(llvm::StringRef stem, const std::string &type,
                    llvm::ArrayRef<std::pair<Value, std::string>> ins,
                    llvm::StringRef code);

  const Model &model;
  const ImportOptions &options;
  WeightFormatAttrInterface format;
  std::string body, problem;
  /// The `moe.name` of each weight and its value.
  std::vector<std::pair<std::string, Value>> arguments;
  std::map<std::string, int> taken;
  Value x, zero, one;
  /// The operand of tensor.empty for T rows; nothing for a fixed T.
  std::string numTokens;
  // What the sum at the end of the layer needs.
  Value expertRows, routing, sharedRows;
  bool unweighted = false;
};

/// The name of the function of a layer.
std::string nameLayer(int64_t layer);

// Attributes, as text.
std::string topK(int64_t slots);
/// `reduce` is max or top2. One group is plain top-k.
std::string groupTopK(const Model &model, llvm::StringRef reduce);
std::string normalizeSum(double eps);
std::string normalizeClamp(double minimum);
std::string normalizePNorm(double p);
std::string scale(double factor);
std::string sparseMixer(double eps);
std::string clampedSwiGLU(double alpha, double limit, double offset);

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_LAYERBUILDER_H
