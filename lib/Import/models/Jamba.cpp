//===- Jamba.cpp - Jamba ----------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over all experts without normalisation, in every second layer of
// the released model.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct Jamba : Model {
  bool isMoELayer(int64_t layer) const override {
    return layer % period == offset;
  }

  void buildLayer(LayerBuilder &b) const override {
    Value p = b.softmax(b.logits());
    b.experts(b.route(topK(slots), p, p), {intermediate, activation});
  }

  int64_t period = 1, offset = 0;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  auto model = std::make_unique<Jamba>();
  config.alias("num_local_experts", "num_experts");
  model->readSizes(config, "num_experts", "intermediate_size",
                   {32, 4096, 14336, 16, 2}, /*fewest=*/2);
  config.expect("scoring_func", "softmax");
  model->period = config.integer("expert_layer_period", 1, 2);
  model->offset = config.integer("expert_layer_offset", 0, 1);
  if (model->offset >= model->period)
    config.fail("expert_layer_offset", "must be less than "
                                       "'expert_layer_period'");
  return model;
}

void moe::importer::registerJamba(FamilyTable &table) { table["jamba"] = read; }
