//===- Dbrx.cpp - DBRX ------------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over all experts; the chosen probabilities are divided by their
// p-norm, p = 1 in the released model.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct Dbrx : Model {
  void buildLayer(LayerBuilder &b) const override {
    Value p = b.softmax(b.logits());
    std::vector<std::string> weighing;
    if (norm)
      weighing.push_back(normalizePNorm(*norm));
    b.experts(b.route(topK(slots), p, p, weighing), {intermediate, activation});
  }

  std::optional<double> norm;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef) {
  auto model = std::make_unique<Dbrx>();
  config.alias("num_hidden_layers", "n_layers");
  config.alias("hidden_size", "d_model");
  model->layers = config.size("n_layers", 24);
  model->hidden = config.size("d_model", 2048);
  Config ffn = config.nested("ffn_config");
  // Upstream overwrites it with d_model.
  ffn.skip("hidden_size");
  model->intermediate = ffn.size("ffn_hidden_size", 3584);
  model->experts = ffn.size("moe_num_experts", 4);
  model->slots = ffn.size("moe_top_k", 1);
  if (model->slots > model->experts)
    ffn.fail("moe_top_k", "is more than the " + llvm::Twine(model->experts) +
                              " experts of 'moe_num_experts'");
  model->activation = "#moe.silu";
  if (ffn.has("ffn_act_fn")) {
    Config act = ffn.nested("ffn_act_fn");
    model->activation = act.activation("name", std::nullopt);
    act.failUnread("is an argument of the activation, which takes none here");
  }
  // null turns the normalisation off, as upstream; an absent key does not.
  if (!ffn.isNull("moe_normalize_expert_weights"))
    model->norm = ffn.number("moe_normalize_expert_weights", 1.0);
  if (model->norm && !(*model->norm > 0))
    ffn.fail("moe_normalize_expert_weights", "must be greater than 0");
  return model;
}

void moe::importer::registerDbrx(FamilyTable &table) { table["dbrx"] = read; }
