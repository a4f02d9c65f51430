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
      b.shared({sharedExperts * intermediate, activation, /*gated=*/true,
                sharedBias});
  }

  int64_t firstDense = 0, frequency = 1, sharedExperts = 0;
  bool sigmoidScores = true, correctionBias = true, normalize = true;
  bool sharedBias = false;
  double scaling = 1.0;
};
} // namespace

namespace {
/// What differs between the types when the configuration says nothing.
struct Defaults {
  DefaultSizes sizes;
  int64_t firstDense, sharedExperts;
  bool normalize;
  double scaling;
  /// Of V3 and its relatives only.
  int64_t groups = 0, keptGroups = 0;
};
} // namespace

static constexpr Defaults v2Defaults = {
    {32, 4096, 1407, 64, std::nullopt}, 0, 2, false, 1.0};
static constexpr Defaults v3Defaults = {
    {61, 7168, 2048, 256, 8}, 3, 1, true, 2.5, 8, 4};
static constexpr Defaults glmDefaults = {
    {46, 4096, 1408, 128, 8}, 1, 1, true, 1.0, 1, 1};

static std::unique_ptr<DeepSeek> readCommon(Config &config,
                                            const Defaults &defaults) {
  auto model = std::make_unique<DeepSeek>();
  model->readSizes(config, "n_routed_experts", "moe_intermediate_size",
                   defaults.sizes);
  model->firstDense =
      config.integer("first_k_dense_replace", 0, defaults.firstDense);
  // A key of the released code alone.
  model->frequency = config.integer("moe_layer_freq", 1, 1);
  // The released code writes null for no shared experts.
  if (!config.isNull("n_shared_experts"))
    model->sharedExperts =
        config.integer("n_shared_experts", 0, defaults.sharedExperts);
  model->normalize = config.flag("norm_topk_prob", defaults.normalize);
  model->scaling = config.number("routed_scaling_factor", defaults.scaling);
  return model;
}

static void readGroups(Config &config, Model &model,
                       std::optional<int64_t> groups,
                       std::optional<int64_t> keptGroups) {
  model.groups = config.integer("n_group", 1, groups);
  model.keptGroups = config.integer("topk_group", 1, keptGroups);
  std::string note;
  if (!config.has("n_group"))
    note = " (the file gives no 'n_group', and upstream's is " +
           std::to_string(model.groups) + ")";
  if (model.keptGroups > model.groups)
    config.fail("topk_group", "is more than the " + llvm::Twine(model.groups) +
                                  " groups of 'n_group'");
  std::string bad = checkGroups(model);
  if (!bad.empty())
    config.fail("n_group", "does not fit: " + bad + note);
}

static std::unique_ptr<Model> readV3(Config &config, llvm::StringRef type) {
  config.alias("num_local_experts", "n_routed_experts");
  const Defaults &defaults = type == "glm4_moe" ? glmDefaults : v3Defaults;
  std::unique_ptr<DeepSeek> model = readCommon(config, defaults);
  config.expect("scoring_func", "sigmoid");
  config.expect("topk_method", "noaux_tc");
  readGroups(config, *model, defaults.groups, defaults.keptGroups);
  // Groups are ranked by the sum of their two best members.
  if (model->groups > 1 && model->experts / model->groups < 2)
    config.fail("n_group", "leaves fewer than two experts a group");
  return model;
}

static std::unique_ptr<Model> readV2(Config &config, llvm::StringRef) {
  config.alias("num_experts", "n_routed_experts");
  std::unique_ptr<DeepSeek> model = readCommon(config, v2Defaults);
  model->sigmoidScores = model->correctionBias = false;
  // The released code scales only weights that it does not normalise, and
  // normalises only if there is more than one.
  if (model->normalize && model->slots > 1)
    model->scaling = 1.0;
  else
    model->normalize = false;
  // Routed experts have no biases even then.
  model->sharedBias = config.flag("mlp_bias", false);
  config.expect("scoring_func", "softmax");
  std::string method = config.text("topk_method", "greedy");
  if (method == "group_limited_greedy") {
    readGroups(config, *model, std::nullopt, std::nullopt);
  } else if (method == "greedy") {
    config.skip("n_group");
    config.skip("topk_group");
  } else {
    config.fail("topk_method", "is '" + printable(method) +
                                   "'; this model type supports 'greedy' and "
                                   "'group_limited_greedy'");
  }
  return model;
}

void moe::importer::registerDeepSeek(FamilyTable &table) {
  table["deepseek_v2"] = readV2;
  table["deepseek_v3"] = readV3;
  table["glm4_moe"] = readV3;
  table["kimi_k2"] = readV3;
}
