//===- Olmoe.cpp - OLMoE ----------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over all experts; the chosen probabilities are the weights, and sum
// to less than one unless the configuration normalises them (arXiv 2409.02060).
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct Olmoe : Model {
  void buildLayer(LayerBuilder &b) const override {
    Value p = b.softmax(b.logits());
    std::vector<std::string> weighing;
    if (normalize)
      weighing.push_back(normalizeSum(0.0));
    b.experts(b.route(topK(slots), p, p, weighing), {intermediate, activation});
  }

  bool normalize = false;
};
} // namespace

void moe::importer::registerOlmoe(FamilyTable &table) {
  table["olmoe"] = [](Config &config, llvm::StringRef) {
    auto model = std::make_unique<Olmoe>();
    config.alias("num_local_experts", "num_experts");
    model->readSizes(config, "num_experts", "intermediate_size",
                     {16, 2048, 2048, 64, 8});
    config.expect("scoring_func", "softmax");
    model->normalize = config.flag("norm_topk_prob", false);
    return std::unique_ptr<Model>(std::move(model));
  };
}
