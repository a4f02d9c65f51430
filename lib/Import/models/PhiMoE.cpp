//===- PhiMoE.cpp - Phi-3.5-MoE ---------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Two experts in two rounds, each weighed against the rivals whose logits are
// near its own: SparseMixer-v2 (arXiv 2409.12136) as it is run. The layer norm
// before the experts is outside of the layer.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct PhiMoE : Model {
  void buildLayer(LayerBuilder &b) const override {
    b.experts(b.route(sparseMixer(eps), b.logits(), /*weigh=*/{}),
              {intermediate, activation});
  }

  double eps = 0.0;
};
} // namespace

void moe::importer::registerPhiMoE(FamilyTable &table) {
  table["phimoe"] = [](Config &config, llvm::StringRef) {
    auto model = std::make_unique<PhiMoE>();
    model->readSizes(config, "num_local_experts", "intermediate_size",
                     {32, 4096, 6400, 16, 2});
    model->eps = config.number("router_jitter_noise", 0.01);
    if (model->eps < 0.0)
      config.fail("router_jitter_noise", "is below 0");
    // The router has two rounds, whatever the configuration asks for.
    if (!config.failed() && model->slots != 2)
      config.fail("num_experts_per_tok",
                  "is " + llvm::Twine(model->slots) +
                      ", but the router of this family chooses 2");
    return std::unique_ptr<Model>(std::move(model));
  };
}
