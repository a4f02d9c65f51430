//===- NllbMoE.cpp - NLLB-MoE -----------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The two best experts of GShard, as they are run: the second one always, a
// capacity that is a fraction of the tokens, and weights that are normalised
// before or after dropping (arXiv 2207.04672). What training drops of the
// experts' outputs scales all of them in inference. Layers of the encoder are
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
    std::vector<std::string> scaling;
    if (scale != 1.0)
      scaling.push_back(moe::importer::scale(scale));
    bool reweighs = limited() && !normalizeBefore;
    Value routing =
        b.route("#moe.gshard<second = all>", b.softmax(b.logits(routerBias)),
                /*weigh=*/{}, reweighs ? std::vector<std::string>() : scaling);
    // The fraction of all tokens, as a factor of T K / E.
    if (capacity)
      routing = b.limit(routing, capacity);
    else if (limited())
      routing = b.limitByFactor(
          routing, fraction * static_cast<double>(experts) / slots);
    if (reweighs) {
      scaling.insert(scaling.begin(), normalizeClamp(0x1p-23));
      routing = b.reweigh(routing, scaling);
    }
    FFN ffn{intermediate, activation, /*gated=*/false, /*bias=*/true};
    b.experts(routing, ffn);
  }

  bool limited() const { return capacity || fraction < 1.0; }

  int64_t encoderLayers = 0, encoderStep = 0, decoderStep = 0;
  double fraction = 1.0, scale = 1.0;
  /// A capacity that does not depend on the number of tokens; 0 for none.
  int64_t capacity = 0;
  bool normalizeBefore = false, routerBias = false;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  config.alias("num_hidden_layers", "encoder_layers");
  config.alias("hidden_size", "d_model");
  auto model = std::make_unique<NllbMoE>();
  model->encoderLayers = config.size("encoder_layers", 12);
  int64_t decoderLayers = config.size("decoder_layers", 12, 0);
  model->layers = model->encoderLayers + decoderLayers;
  model->encoderStep = config.integer("encoder_sparse_step", 0, 4);
  model->decoderStep = config.integer("decoder_sparse_step", 0, 4);
  model->hidden = config.size("d_model", 1024);
  model->intermediate = config.size("encoder_ffn_dim", 4096);
  int64_t decoderWidth = config.size("decoder_ffn_dim", 4096);
  auto isSparse = [](int64_t step, int64_t layers) {
    return step > 0 && step <= layers;
  };
  bool sparseEncoder = isSparse(model->encoderStep, model->encoderLayers);
  bool sparseDecoder = isSparse(model->decoderStep, decoderLayers);
  if (sparseEncoder && sparseDecoder && decoderWidth != model->intermediate)
    config.fail("decoder_ffn_dim",
                "is " + llvm::Twine(decoderWidth) + " and encoder_ffn_dim " +
                    llvm::Twine(model->intermediate) +
                    "; layers of two sizes have to be imported as two models "
                    "(a decoder_sparse_step of 0 leaves the decoder out)");
  if (!sparseEncoder)
    model->intermediate = decoderWidth;
  model->experts = config.size("num_experts", 128);
  model->slots = 2;
  if ((sparseEncoder || sparseDecoder) && model->experts < model->slots)
    config.fail("num_experts",
                "is 1, but the router of this family chooses 2: a layer with "
                "one expert is a dense layer (a sparse step of 0)");
  model->routerBias = config.flag("router_bias", false);
  model->normalizeBefore =
      config.flag("normalize_router_prob_before_dropping", false);
  model->fraction = config.number("moe_eval_capacity_token_fraction", 1.0);
  // Without a fraction, the capacity of training.
  bool unlimited = config.isNull("expert_capacity");
  int64_t capacity = unlimited ? 0 : config.integer("expert_capacity", 1, 64);
  if (model->fraction <= 0.0) {
    model->capacity = capacity;
    if (unlimited)
      config.fail("moe_eval_capacity_token_fraction",
                  "is not above 0 and 'expert_capacity' is null: a capacity of "
                  "2 ceil(T / E) has no form here");
  }
  double dropout = config.number("moe_token_dropout", 0.2);
  if (dropout < 0.0 || dropout >= 1.0)
    config.fail("moe_token_dropout", "is not from 0 to below 1");
  model->scale = 1.0 - dropout;
  std::string policy = config.text("second_expert_policy", "all");
  if (policy != "all")
    config.fail("second_expert_policy",
                "is '" + printable(policy) +
                    "', which draws random numbers; for inference it is 'all'");
  if (config.flag("batch_prioritized_routing", false))
    config.fail("batch_prioritized_routing", "is set, and has no form here");
  model->activation = config.activation("activation_function", "relu");
  return model;
}

void moe::importer::registerNllbMoE(FamilyTable &table) {
  table["nllb-moe"] = read;
}
