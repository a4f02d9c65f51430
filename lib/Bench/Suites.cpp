//===- Suites.cpp - What can be benchmarked --------------------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// The shapes are written out a second time here, not read from the imported
// IR: a baseline that asked the compiler what to compute could not disagree.
//
//===----------------------------------------------------------------------===//

#include "moe-mlir/Bench/Suites.h"

using namespace moe;
using namespace moe::bench;

static LayerSpec layer(const char *model, int64_t hidden, int64_t intermediate,
                       int64_t experts, int64_t slots, Score score) {
  LayerSpec spec;
  spec.model = model;
  spec.hidden = hidden;
  spec.intermediate = intermediate;
  spec.experts = experts;
  spec.slots = slots;
  spec.score = score;
  return spec;
}

static LayerSpec renormalised(LayerSpec spec) {
  spec.renormalise = true;
  return spec;
}

/// Sigmoid scores, a correction bias, groups and a shared expert.
static LayerSpec deepSeek(LayerSpec spec, int64_t groups, int64_t keptGroups) {
  spec.renormalise = true;
  spec.scale = 2.5;
  spec.groups = groups;
  spec.keptGroups = keptGroups;
  spec.correctionBias = true;
  spec.sharedIntermediate = spec.intermediate;
  return spec;
}

/// Biases everywhere and the clamped SwiGLU.
static LayerSpec gptOss(LayerSpec spec) {
  spec.routerBias = spec.expertBias = true;
  spec.activation = Activation::ClampedSwiglu;
  return spec;
}

static std::vector<Suite> makeSuites() {
  const auto before = Score::SoftmaxBefore, after = Score::SoftmaxAfter;
  std::vector<Suite> suites;

  Suite whole;
  whole.name = "layer";
  whole.description = "whole layers of real models, router to combine";
  whole.models = {
      {layer("Mixtral-8x7B", 4096, 14336, 8, 2, after), "Mixtral-8x7B", "", 0},
      {renormalised(layer("Qwen3-30B-A3B", 2048, 768, 128, 8, before)),
       "Qwen3-30B-A3B", "", 0},
      {layer("OLMoE-1B-7B", 2048, 1024, 64, 8, before), "OLMoE-1B-7B", "", 0},
      // All 256 experts would be 45 GB in f32; the groups stay 8.
      {deepSeek(layer("DeepSeek-V3", 7168, 2048, 32, 8, Score::Sigmoid), 8, 4),
       "DeepSeek-V3", "", 32},
      {gptOss(layer("gpt-oss-20b", 2880, 2880, 32, 4, after)), "gpt-oss-20b",
       "", 0},
  };
  whole.formats = {"f32", "bf16"};
  whole.tokens = {1, 4, 16, 64, 512};
  suites.push_back(whole);

  // Tiny layers with every feature of the ones above; the sizes are multiples
  // of neither tiles nor vectors where the format allows it.
  Suite smoke;
  smoke.name = "smoke";
  smoke.description = "tiny layers that show in seconds that everything works";
  smoke.models = {
      {renormalised(layer("tiny-Qwen3", 160, 96, 16, 4, before)),
       "Qwen3-30B-A3B",
       R"({"hidden_size": 160, "moe_intermediate_size": 96,
           "num_experts": 16, "num_experts_per_tok": 4})",
       0},
      {deepSeek(layer("tiny-DeepSeek", 128, 64, 16, 4, Score::Sigmoid), 4, 2),
       "DeepSeek-V3",
       R"({"hidden_size": 128, "moe_intermediate_size": 64,
           "n_routed_experts": 16, "num_experts_per_tok": 4,
           "n_group": 4, "topk_group": 2})",
       0},
      {gptOss(layer("tiny-gpt-oss", 96, 72, 8, 2, after)), "gpt-oss-20b",
       R"({"hidden_size": 96, "intermediate_size": 72,
           "num_local_experts": 8, "num_experts_per_tok": 2})",
       0},
  };
  smoke.formats = {"f32", "bf16"};
  smoke.tokens = {1, 16};
  smoke.isQuick = true;
  suites.push_back(smoke);
  return suites;
}

const std::vector<Suite> &bench::allSuites() {
  static const std::vector<Suite> suites = makeSuites();
  return suites;
}

const Suite *bench::findSuite(llvm::StringRef name) {
  for (const Suite &suite : allSuites())
    if (name == suite.name)
      return &suite;
  return nullptr;
}
