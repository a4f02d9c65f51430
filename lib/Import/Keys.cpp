//===- Keys.cpp - Keys of configurations that no family reads ---*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// Tables of names; `*` stands for any characters. A key that a family reads is
// never looked up here. The first table that has a key counts, see getKeyKind.
//
//===----------------------------------------------------------------------===//

#include "Keys.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

using namespace moe::importer;

namespace {
struct FormulaKey {
  llvm::StringLiteral pattern;
  llvm::StringLiteral reason;
};
} // namespace

/// Keys that are known to change a layer.
static constexpr FormulaKey formulaKeys[] = {
    {"swiglu_limit", "clamps what goes into the activation of the experts"},
    {"swiglu_alpha", "is a gain inside the activation of the experts"},
    {"zero_expert_*", "adds experts that do nothing but pass their input on"},
    {"moe_latent_size", "makes the experts work in a smaller space"},
    {"mlp_bias", "adds biases to the matrices of the experts"},
    {"use_expert_bias", "adds a bias to the scores of the selection"},
    {"use_routing_bias", "adds a bias to the scores of the selection"},
    {"scor*_func*", "chooses the function of the router's scores"},
    {"router_logit_softcapping", "bends the logits of the router"},
    {"hidden_activation", "chooses the activation of the experts"},
    {"mlp_hidden_act", "chooses the activation of the experts"},
    {"mlp_layer_types", "says which layers have experts"},
    {"num_dense_layers", "says which layers have experts"},
    {"first_k_dense_replace", "says which layers have experts"},
    {"approximate", "is an argument of the activation"},
    {"layer_overrides", "gives single layers other values"},
    {"moe_token_dropout", "scales what the experts give"},
};

/// Keys that a layer does not depend on, whatever their names speak of:
/// training and its losses, what a call returns, how upstream runs it, and
/// further layers that are none of the model. A router is computed in f32
/// whatever its type was.
static constexpr llvm::StringLiteral harmlessThroughout[] = {
    "_*",
    "*jitter*",
    "*loss*",
    "add_router_probs",
    "aux_*",
    "experts_implementation",
    "moe_router_dtype",
    "mtp_*",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_router_logits",
    "output_scores",
    "router_dtype",
    "router_ignore_padding_tokens",
    "router_type",
};

/// Names of what makes a layer one of experts.
static constexpr llvm::StringLiteral routingNames[] = {"*expert*", "*moe*",
                                                       "*rout*"};

/// Keys that a layer does not depend on.
static constexpr llvm::StringLiteral harmlessKeys[] = {
    // Bookkeeping of transformers.
    "*_version",
    "add_cross_attention",
    "architectures",
    "auto_map",
    "base_model_*",
    "cache_*",
    "chunk_size_feed_forward",
    "dtype",
    "finetuning_task",
    "for_llm_compressor",
    "gradient_checkpointing",
    "id2label",
    "is_composition",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "model_type",
    "name_or_path",
    "num_labels",
    "prefix",
    "problem_type",
    "pruned_heads",
    "return_*",
    "task_specific_params",
    "tf_legacy_loss",
    "tie_*",
    "tokenizer*",
    "torch_dtype",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "use_return_dict",
    // Vocabulary, embeddings and the head.
    "*_token_id",
    "*_token_ids",
    "*_token_index",
    "*embedding*",
    "*vocab*",
    "final_logit_softcapping",
    "lm_head_*",
    "logits_scaling",
    "num_logits_to_keep",
    // Attention, state spaces and positions.
    "*_heads",
    "*_num_heads",
    "*attention*",
    "*attn*",
    "*head_dim",
    "*lora_rank",
    "*position*",
    "*rope*",
    "*rotary*",
    "*sliding_window*",
    "clip_qkv",
    "conv_*",
    "d_kv",
    "floor_scale",
    "*context_length",
    "index_*",
    "indexer_*",
    "kda_*",
    "layer_types",
    "layers_block_type",
    "linear_conv_kernel_dim",
    "mamba_*",
    "max_seq*",
    "max_window_layers",
    "num_kv_shared_layers",
    "model_max_length",
    "*qkv*",
    "qk_*",
    "relative_*",
    "seq_length",
    "ssm_*",
    "use_associative_scan",
    "use_mamba*",
    "use_qk_norm",
    // Norms and the residual stream, which are outside of a layer.
    "*norm_eps",
    "*norm_epsilon",
    "residual_multiplier",
    // Dense layers and extra ones that are no layers of the model.
    "dense_intermediate_size",
    "feed_forward_length",
    "intermediate_size",
    "intermediate_size_mlp",
    "num_mtp_layers",
    "num_nextn_predict_layers",
    // Training.
    "*_dropout",
    "*_pdrop",
    "*layerdrop",
    "dropout",
    "dropout_*",
    "ep_size",
    "init_*",
    "initializer_*",
    "pretraining_tp",
    "seq_aux",
    // Generation.
    "*beam*",
    "*cutoff",
    "*ngram*",
    "*penalty",
    "*suppress_tokens",
    "bad_words_ids",
    "do_sample",
    "early_stopping",
    "forced_*",
    "guidance_scale",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "num_return_sequences",
    "remove_invalid_values",
    "renormalize_logits",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    // Other parts of a model that holds a language model.
    "*projector*",
    "audio_*",
    "image_*",
    "mm_*",
    "projection_*",
    "speech_*",
    "video_*",
    "vision_*",
};

static constexpr llvm::StringLiteral quantizationKeys[] = {
    "*quant_*", "compression_config", "quantization*"};

/// Names that speak of what else a layer may be made of.
static constexpr llvm::StringLiteral speakingNames[] = {
    "*_act",      "*_fn",    "*act_fn*",       "*activation*",   "*bias*",
    "*capacity*", "*clamp*", "*dense*",        "*ffn*",          "*gate*",
    "*gating*",   "*glu*",   "*feed_forward*", "*intermediate*", "*latent*",
    "*mlp*",      "*scor*",  "*shared*",       "*softcap*",      "*sparse*",
    "*top_k*",    "*topk*",  "hidden_act*",
};

/// Names of factors of a result, steps and numbers of groups: 1 changes
/// nothing.
static constexpr llvm::StringLiteral ratioNames[] = {
    "*scaling_factor", "*_freq", "*_group", "*_groups", "*_interval", "*_step"};

static bool matches(llvm::StringRef pattern, llvm::StringRef key) {
  llvm::SmallVector<llvm::StringRef, 4> parts;
  pattern.split(parts, '*');
  // The first and the last part are at the ends, the others anywhere between.
  if (parts.size() == 1)
    return pattern == key;
  if (!key.consume_front(parts.front()) || !key.consume_back(parts.back()))
    return false;
  for (llvm::StringRef part : llvm::ArrayRef(parts).drop_front().drop_back()) {
    size_t at = key.find(part);
    if (at == llvm::StringRef::npos)
      return false;
    key = key.drop_front(at + part.size());
  }
  return true;
}

template <size_t count>
static bool hasMatch(const llvm::StringLiteral (&patterns)[count],
                     llvm::StringRef key) {
  return llvm::any_of(
      patterns, [&](llvm::StringRef pattern) { return matches(pattern, key); });
}

static const FormulaKey *findFormulaKey(llvm::StringRef key) {
  for (const FormulaKey &known : formulaKeys)
    if (matches(known.pattern, key))
      return &known;
  return nullptr;
}

KeyKind moe::importer::getKeyKind(llvm::StringRef key) {
  if (key == "per_layer_config")
    return KeyKind::PerLayer;
  if (findFormulaKey(key))
    return KeyKind::Formula;
  if (hasMatch(harmlessThroughout, key))
    return KeyKind::Harmless;
  // Before the patterns of harmless keys, which are wide.
  if (hasMatch(routingNames, key))
    return KeyKind::Formula;
  if (hasMatch(harmlessKeys, key))
    return KeyKind::Harmless;
  if (hasMatch(quantizationKeys, key))
    return KeyKind::Quantization;
  if (hasMatch(speakingNames, key) || hasMatch(ratioNames, key))
    return KeyKind::Formula;
  return KeyKind::Unknown;
}

llvm::StringRef moe::importer::getFormulaReason(llvm::StringRef key) {
  if (const FormulaKey *known = findFormulaKey(key))
    return known->reason;
  return "may change a layer, by its name";
}

bool moe::importer::isOff(llvm::StringRef key, const llvm::json::Value &value) {
  switch (value.kind()) {
  case llvm::json::Value::Null:
    return true;
  case llvm::json::Value::Boolean:
    return !*value.getAsBoolean();
  case llvm::json::Value::Number:
    return *value.getAsNumber() == 0.0 ||
           (*value.getAsNumber() == 1.0 && hasMatch(ratioNames, key));
  case llvm::json::Value::String:
    return value.getAsString()->empty();
  case llvm::json::Value::Array:
    return value.getAsArray()->empty();
  case llvm::json::Value::Object:
    return value.getAsObject()->empty();
  }
  return false;
}
