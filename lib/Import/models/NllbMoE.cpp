//===- NllbMoE.cpp - NLLB-MoE -----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The two best experts of GShard, as they are run: the second one always, a
// capacity that is a fraction of the tokens, and weights that are normalised
// before or after dropping (arXiv 2207.04672). Layers of the encoder are
// numbered first, those of the decoder follow.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct NllbMoE : Model {
  bool isMoELayer(int64_t layer) const override {
    bool inEncoder = layer < encoderLayers;
    int64_t step = inEncoder ? encoderStep : decoderStep;
    int64_t index = inEncoder ? layer : layer - encoderLayers;
    return step > 0 && (index + 1) % step == 0;
  }

  void buildLayer(LayerBuilder &b) const override {
    Value routing = b.route("#moe.gshard<second = all>",
                            b.softmax(b.logits(routerBias)), /*weigh=*/{});
    // The fraction of all tokens, as a factor of T K / E.
    if (fraction < 1.0)
      routing = b.limitByFactor(
          routing, fraction * static_cast<double>(experts) / slots);
    if (fraction < 1.0 && !normalizeBefore)
      routing = b.reweigh(routing, {normalizeClamp(0x1p-23)});
    FFN ffn{intermediate, activation, /*gated=*/false, /*bias=*/true};
    b.experts(routing, ffn);
  }

  int64_t encoderLayers = 0, encoderStep = 0, decoderStep = 0;
  double fraction = 1.0;
  bool normalizeBefore = false, routerBias = false;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  auto model = std::make_unique<NllbMoE>();
  model->encoderLayers = config.integer("encoder_layers");
  model->layers = model->encoderLayers + config.integer("decoder_layers", 0, 0);
  model->encoderStep = config.integer("encoder_sparse_step", 0, 4);
  model->decoderStep = config.integer("decoder_sparse_step", 0, 4);
  model->hidden = config.integer("d_model");
  model->intermediate = config.integer("encoder_ffn_dim");
  if (config.integer("decoder_ffn_dim", 1, model->intermediate) !=
      model->intermediate)
    config.fail("decoder_ffn_dim", "is not encoder_ffn_dim; layers of two "
                                   "sizes have to be imported as two models");
  model->experts = config.integer("num_experts");
  model->slots = 2;
  model->routerBias = config.flag("router_bias", false);
  model->normalizeBefore =
      config.flag("normalize_router_prob_before_dropping", false);
  model->fraction = config.number("moe_eval_capacity_token_fraction", 1.0);
  if (!(model->fraction > 0.0))
    config.fail("moe_eval_capacity_token_fraction",
                "is not above 0: a capacity of 2 ceil(T / E) has no form here");
  std::string policy = config.text("second_expert_policy", "all");
  if (policy != "all")
    config.fail("second_expert_policy",
                "is '" + policy +
                    "', which draws random numbers; for inference it is 'all'");
  if (config.flag("batch_prioritized_routing", false))
    config.fail("batch_prioritized_routing", "is set, and has no form here");
  model->activation = config.activation("activation_function", "relu");
  return model;
}

void moe::importer::registerNllbMoE(FamilyTable &table) {
  table["nllb-moe"] = read;
}
