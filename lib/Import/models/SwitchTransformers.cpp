//===- SwitchTransformers.cpp - Switch Transformers -------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// One expert a token with its probability as the weight, and a capacity:
// tokens that arrive at a full expert get nothing (arXiv 2101.03961). Layers
// of the encoder are numbered first, those of the decoder follow.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct SwitchTransformers : Model {
  bool isMoELayer(int64_t layer) const override {
    bool inEncoder = layer < encoderLayers;
    int64_t step = inEncoder ? encoderStep : decoderStep;
    int64_t index = inEncoder ? layer : layer - encoderLayers;
    // A step of 0 means a dense stack.
    return step == 1 || (step > 1 && index % step == 1);
  }

  void buildLayer(LayerBuilder &b) const override {
    Value p = b.softmax(b.logits(routerBias));
    b.experts(b.limit(b.route(topK(slots), p, p), capacity),
              {intermediate, activation, gated});
  }

  int64_t encoderLayers = 0, encoderStep = 0, decoderStep = 0;
  int64_t capacity = 0;
  bool gated = false, routerBias = false;
};
} // namespace

/// Every how many layers of a stack one is sparse.
static int64_t readStep(Config &config, llvm::StringRef stepKey,
                        llvm::StringRef sparseKey, int64_t layers) {
  int64_t sparse = config.integer(sparseKey, 0, 3);
  // Upstream computes the step, and then takes it from the file if it is there.
  if (config.has(stepKey))
    return config.integer(stepKey, 0);
  if (sparse > layers)
    config.fail(sparseKey, "is more than the " + llvm::Twine(layers) +
                               " layers of its stack");
  // Zero sparse layers leave one, the second, as they do upstream.
  return sparse ? layers / sparse : layers;
}

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  config.alias("num_hidden_layers", "num_layers");
  config.alias("hidden_size", "d_model");
  auto model = std::make_unique<SwitchTransformers>();
  model->encoderLayers = config.size("num_layers", 12);
  int64_t decoderLayers = config.isNull("num_decoder_layers")
                              ? model->encoderLayers
                              : config.size("num_decoder_layers", 12, 0);
  model->layers = model->encoderLayers + decoderLayers;
  model->encoderStep =
      readStep(config, "encoder_sparse_step", "num_sparse_encoder_layers",
               model->encoderLayers);
  model->decoderStep = readStep(config, "decoder_sparse_step",
                                "num_sparse_decoder_layers", decoderLayers);
  model->hidden = config.size("d_model", 768);
  model->intermediate = config.size("d_ff", 2048);
  model->experts = config.size("num_experts", 8);
  model->slots = 1;
  config.expect("num_selected_experts", 1);
  model->capacity = config.integer("expert_capacity", 1, 64);
  model->routerBias = config.flag("router_bias", false);

  // Older files name the activation in `feed_forward_proj`.
  llvm::StringRef key =
      config.has("feed_forward_proj") ? "feed_forward_proj" : "dense_act_fn";
  std::string name = config.text(key, "relu");
  llvm::StringRef plain = name;
  model->gated =
      plain.consume_front("gated-") || config.flag("is_gated_act", false);
  // The gated form was trained with the tanh approximation.
  if (model->gated && plain == "gelu")
    plain = "gelu_new";
  model->activation = getActivation(plain);
  if (model->activation.empty())
    config.fail(key, "names the unknown activation '" + name +
                         "' (known are, also behind 'gated-': " +
                         listActivations() + ")");
  return model;
}

void moe::importer::registerSwitchTransformers(FamilyTable &table) {
  table["switch_transformers"] = read;
}
