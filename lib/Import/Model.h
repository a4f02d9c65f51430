//===- Model.h - What a model family provides -------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A family is one file in models/: it registers the `model_type` values it
// reads, turns a configuration into a Model, and the Model writes one layer.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_MLIR_LIB_IMPORT_MODEL_H
#define MOE_MLIR_LIB_IMPORT_MODEL_H

#include "Config.h"

#include <functional>
#include <map>
#include <memory>

namespace moe::importer {

class LayerBuilder;

/// The sizes that upstream gives a model type without the keys.
struct DefaultSizes {
  int64_t layers, hidden, intermediate, experts;
  /// Nothing where upstream gives none either: the key is required.
  std::optional<int64_t> slots;
};

/// One model. The sizes are what every family has; the driver checks them, and
/// changes `experts` and `groups` when only a part of the experts is kept.
struct Model {
  virtual ~Model() = default;

  /// Whether this layer (0 <= layer < layers) has experts.
  virtual bool isMoELayer(int64_t layer) const { return true; }
  /// Writes the body of one MoE layer; every layer of a model is alike.
  virtual void buildLayer(LayerBuilder &b) const = 0;

  /// Reads the sizes and the activation under their usual names. With fewer
  /// than `fewest` experts, all layers are dense.
  void readSizes(Config &config, llvm::StringRef expertsKey,
                 llvm::StringRef intermediateKey, const DefaultSizes &defaults,
                 int64_t fewest = 0);

  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t experts = 0;
  /// Experts chosen per token.
  int64_t slots = 0;
  /// Group-limited selection; one group means there is none.
  int64_t groups = 1;
  int64_t keptGroups = 1;
  std::string activation;
  /// Why none of the layers has experts, where a key other than those that
  /// number the layers says so.
  std::string dense;
};

/// Empty when a router can choose among the model's groups, else why not.
std::string checkGroups(const Model &model);

/// Makes a model from a configuration; failures are left in `config`.
using ReadModel = std::unique_ptr<Model> (*)(Config &config,
                                             llvm::StringRef modelType);
using FamilyTable = std::map<std::string, ReadModel, std::less<>>;

// Every file in models/ defines its register function.
#define MOE_IMPORT_FAMILY(name) void register##name(FamilyTable &table);
#include "Families.inc"
#undef MOE_IMPORT_FAMILY

} // namespace moe::importer

#endif // MOE_MLIR_LIB_IMPORT_MODEL_H
