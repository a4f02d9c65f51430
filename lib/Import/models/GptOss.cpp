//===- GptOss.cpp - gpt-oss -------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A router with a bias, softmax over the chosen logits, experts with biases
// and a clamped SwiGLU.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct GptOss : Model {
  void buildLayer(LayerBuilder &b) const override {
    Value z = b.logits(/*bias=*/true);
    b.experts(b.route(topK(slots), z, z, {"#moe.softmax"}),
              {intermediate, activation, /*gated=*/true, /*bias=*/true});
  }
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  auto model = std::make_unique<GptOss>();
  config.alias("num_experts", "num_local_experts");
  // The released files give this number twice.
  config.alias("experts_per_token", "num_experts_per_tok");
  model->readSizes(config, "num_local_experts", "intermediate_size",
                   {36, 2880, 2880, 128, 4});
  config.expect("scoring_func", "softmax");
  config.expect("norm_topk_prob", true);
  // The experts' formula is fixed: `hidden_act` is silu in all of them, and
  // the clamp and the gain around it have keys of their own.
  if (model->activation != "#moe.silu" && !config.failed())
    config.fail("hidden_act", "must be 'silu' for this model type");
  double limit = config.number("swiglu_limit", 7.0);
  if (!(limit > 0))
    config.fail("swiglu_limit", "must be greater than 0");
  model->activation =
      clampedSwiGLU(config.number("swiglu_alpha", 1.702), limit, 1.0);
  return model;
}

void moe::importer::registerGptOss(FamilyTable &table) {
  table["gpt_oss"] = read;
}
