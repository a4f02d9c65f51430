//===- Mixtral.cpp - The Mixtral models -------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over the chosen logits, which for this model is the same as softmax
// over all of them followed by a normalisation (arXiv 2401.04088).
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct Mixtral : Model {
  void buildLayer(LayerBuilder &b) const override {
    Value z = b.logits();
    b.experts(b.route(topK(slots), z, z, {"#moe.softmax"}),
              {intermediate, activation});
  }
};
} // namespace

void moe::importer::registerMixtral(FamilyTable &table) {
  table["mixtral"] = [](Config &config, llvm::StringRef) {
    auto model = std::make_unique<Mixtral>();
    config.alias("num_experts", "num_local_experts");
    model->readSizes(config, "num_local_experts", "intermediate_size",
                     {32, 4096, 14336, 8, 2});
    config.expect("scoring_func", "softmax");
    config.expect("norm_topk_prob", true);
    return std::unique_ptr<Model>(std::move(model));
  };
}
