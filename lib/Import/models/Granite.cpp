//===- Granite.cpp - Granite MoE --------------------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Softmax over the chosen logits; later versions add a shared expert without a
// gate.
//
//===----------------------------------------------------------------------===//

#include "LayerBuilder.h"

using namespace moe::importer;

namespace {
struct Granite : Model {
  void buildLayer(LayerBuilder &b) const override {
    Value z = b.logits();
    b.experts(b.route(topK(slots), z, z, {"#moe.softmax"}),
              {intermediate, activation});
    if (sharedIntermediate)
      b.shared({sharedIntermediate, activation});
  }

  int64_t sharedIntermediate = 0;
};
} // namespace

static std::unique_ptr<Model> read(Config &config, llvm::StringRef type) {
  auto model = std::make_unique<Granite>();
  model->readSizes(config, "num_local_experts", "intermediate_size",
                   {32, 4096, 11008, 8, 2});
  config.expect("scoring_func", "softmax");
  config.expect("norm_topk_prob", true);
  if (type != "granitemoe")
    model->sharedIntermediate =
        config.integer("shared_intermediate_size", 0, 0);
  return model;
}

void moe::importer::registerGranite(FamilyTable &table) {
  table["granitemoe"] = read;
  table["granitemoeshared"] = read;
}
