//===- DeepSeek.cpp - DeepSeek-V2, V3, Kimi-K2 and GLM-4.5 ------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// V3 and its relatives score by sigmoid, select with a correction bias that
// the weights do not see, within the best groups of experts, and scale the
// normalised weights. V2 scores by softmax and ranks groups by their best
// member. Shared experts are one wider expert.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct DeepSeek : Model {
  bool isMoELayer(int64_t layer) const override {
    return layer >= firstDense && layer % frequency == 0;
  }

  void buildLayer(LayerBuilder &b) const override {
    Value z = b.logits();
    Value s = sigmoidScores ? b.sigmoid(z) : b.softmax(z);
    Value c = correctionBias ? b.addCorrectionBias(s) : s;
    std::vector<std::string> weighing;
    if (normalize)
      weighing.push_back(normalizeSum(1e-20));
    if (scaling != 1.0)
      weighing.push_back(scale(scaling));
    std::string policy = groupTopK(*this, correctionBias ? "top2" : "max");
    b.experts(b.route(policy, c, s, weighing), {intermediate, activation});
    if (sharedExperts)
      b.shared({sharedExperts * intermediate, activation});
  }

  int64_t firstDense = 0, frequency = 1, sharedExperts = 0;
  bool sigmoidScores = true, correctionBias = true, normalize = true;
  double scaling = 1.0;
};
} // namespace

/// What differs when the configuration says nothing.
static std::unique_ptr<DeepSeek> readCommon(Config &config,
                                            bool normalizeByDefault) {
  auto model = std::make_unique<DeepSeek>();
  model->readSizes(config, "n_routed_experts", "moe_intermediate_size");
  model->firstDense = config.integer("first_k_dense_replace", 0);
  model->frequency = config.integer("moe_layer_freq", 1, 1);
  model->sharedExperts = config.integer("n_shared_experts", 0, 0);
  model->normalize = config.flag("norm_topk_prob", normalizeByDefault);
  model->scaling = config.number("routed_scaling_factor", 1.0);
  return model;
}

static void readGroups(Config &config, Model &model) {
  model.groups = config.integer("n_group", 1, 1);
  model.keptGroups = config.integer("topk_group", 1, model.groups);
  if (model.keptGroups > model.groups)
    config.fail("topk_group", "is more than the " + llvm::Twine(model.groups) +
                                  " groups of 'n_group'");
}

/// The keys that select a formula must name the one this file writes.
static void expectText(Config &config, llvm::StringRef key,
                       llvm::StringRef expected) {
  std::string text = config.text(key, expected);
  if (text != expected)
    config.fail(key, "is '" + text + "'; this model type supports '" +
                         expected + "'");
}

static std::unique_ptr<Model> readV3(Config &config, llvm::StringRef) {
  std::unique_ptr<DeepSeek> model =
      readCommon(config, /*normalizeByDefault=*/true);
  expectText(config, "scoring_func", "sigmoid");
  expectText(config, "topk_method", "noaux_tc");
  readGroups(config, *model);
  // Groups are ranked by the sum of their two best members.
  if (model->groups > 1 && model->experts / model->groups < 2)
    config.fail("n_group", "leaves fewer than two experts a group");
  return model;
}

static std::unique_ptr<Model> readV2(Config &config, llvm::StringRef) {
  std::unique_ptr<DeepSeek> model =
      readCommon(config, /*normalizeByDefault=*/false);
  model->sigmoidScores = model->correctionBias = false;
  // The released code scales only weights that it does not normalise.
  if (model->normalize && model->slots > 1)
    model->scaling = 1.0;
  else
    model->normalize = false;
  expectText(config, "scoring_func", "softmax");
  std::string method = config.text("topk_method", "greedy");
  if (method == "group_limited_greedy")
    readGroups(config, *model);
  else if (method != "greedy")
    config.fail("topk_method", "is '" + method +
                                   "'; this model type supports 'greedy' and "
                                   "'group_limited_greedy'");
  return model;
}

void moe::importer::registerDeepSeek(FamilyTable &table) {
  table["deepseek_v2"] = readV2;
  table["deepseek_v3"] = readV3;
  table["glm4_moe"] = readV3;
  table["kimi_k2"] = readV3;
}
