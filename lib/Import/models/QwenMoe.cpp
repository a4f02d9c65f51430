//===- QwenMoe.cpp - Qwen2-MoE, Qwen3-MoE and Qwen3-Next --------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over all experts, normalised over the chosen ones if the
// configuration says so; all but Qwen3-MoE add a shared expert behind a
// sigmoid gate.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

#include <algorithm>

using namespace moe::importer;

namespace {
struct QwenMoe : Model {
  bool isMoELayer(int64_t layer) const override {
    return (layer + 1) % sparseStep == 0 &&
           !std::binary_search(dense.begin(), dense.end(), layer);
  }

  void buildLayer(LayerBuilder &b) const override {
    Value p = b.softmax(b.logits());
    std::vector<std::string> weighing;
    if (normalize)
      weighing.push_back(normalizeSum(0.0));
    b.experts(b.route(topK(slots), p, p, weighing), {intermediate, activation});
    if (sharedIntermediate)
      b.shared({sharedIntermediate, activation}, /*sigmoidGate=*/true);
  }

  int64_t sparseStep = 1;
  std::vector<int64_t> dense;
  bool normalize = false;
  int64_t sharedIntermediate = 0;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef type) {
  auto model = std::make_unique<QwenMoe>();
  bool isNext = type == "qwen3_next", hasShared = type != "qwen3_moe";
  // Only one of the three has a second name for this upstream.
  if (type == "qwen3_moe")
    config.alias("num_local_experts", "num_experts");
  DefaultSizes defaults = isNext      ? DefaultSizes{48, 2048, 512, 512, 10}
                          : hasShared ? DefaultSizes{24, 2048, 1408, 60, 4}
                                      : DefaultSizes{24, 2048, 768, 128, 8};
  model->readSizes(config, "num_experts", "moe_intermediate_size", defaults,
                   /*fewest=*/1);
  model->sparseStep = config.integer("decoder_sparse_step", 1, 1);
  model->dense =
      config.integers("mlp_only_layers").value_or(std::vector<int64_t>());
  model->normalize = config.flag("norm_topk_prob", isNext);
  if (hasShared)
    model->sharedIntermediate =
        config.size("shared_expert_intermediate_size", isNext ? 512 : 5632, 0);
  config.expect("scoring_func", "softmax");
  return model;
}

void moe::importer::registerQwenMoe(FamilyTable &table) {
  table["qwen2_moe"] = read;
  table["qwen3_moe"] = read;
  table["qwen3_next"] = read;
}
