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
  model->layers = config.integer("n_layers");
  model->hidden = config.integer("d_model");
  Config ffn = config.nested("ffn_config");
  model->intermediate = ffn.integer("ffn_hidden_size");
  model->experts = ffn.integer("moe_num_experts");
  model->slots = ffn.integer("moe_top_k");
  if (model->slots > model->experts)
    ffn.fail("moe_top_k", "is more than the " + llvm::Twine(model->experts) +
                              " experts of 'moe_num_experts'");
  model->activation = "#moe.silu";
  if (ffn.has("ffn_act_fn")) {
    Config act = ffn.nested("ffn_act_fn");
    model->activation = act.activation("name", "silu");
  }
  // null turns the normalisation off, as upstream; an absent key does not.
  if (!ffn.isNull("moe_normalize_expert_weights"))
    model->norm = ffn.number("moe_normalize_expert_weights", 1.0);
  if (model->norm && !(*model->norm > 0))
    ffn.fail("moe_normalize_expert_weights", "must be greater than 0");
  return model;
}

void moe::importer::registerDbrx(FamilyTable &table) { table["dbrx"] = read; }
