//===- Llama4.cpp - Llama 4 -------------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The sigmoid of the chosen logit scales the input of the expert, not its
// output, which differs because the expert is not linear. Every token also
// passes a shared expert of the same size. The configuration of the released
// models holds the language model under `text_config`.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

#include <algorithm>

using namespace moe::importer;

namespace {
struct Llama4 : Model {
  bool isMoELayer(int64_t layer) const override {
    return listed ? std::binary_search(listed->begin(), listed->end(), layer)
                  : (layer + 1) % step == 0;
  }

  void buildLayer(LayerBuilder &b) const override {
    Value z = b.logits();
    b.experts(b.route(topK(slots), z, z, {"#moe.sigmoid"}),
              {intermediate, activation}, /*weightInput=*/true);
    b.shared({intermediate, activation});
  }

  int64_t step = 1;
  std::optional<std::vector<int64_t>> listed;
};
} // namespace

static std::unique_ptr<Model> readText(Config &config, llvm::StringRef) {
  auto model = std::make_unique<Llama4>();
  model->readSizes(config, "num_local_experts", "intermediate_size",
                   {48, 5120, 8192, 16, 1});
  model->step = config.integer("interleave_moe_layer_step", 1, 1);
  model->listed = config.integers("moe_layers");
  return model;
}

static std::unique_ptr<Model> read(Config &config, llvm::StringRef type) {
  // Older files have the keys of the language model at the top.
  if (!config.has("text_config"))
    return readText(config, type);
  Config text = config.nested("text_config");
  return readText(text, type);
}

void moe::importer::registerLlama4(FamilyTable &table) {
  table["llama4"] = read;
  table["llama4_text"] = readText;
}
