//===- Models.cpp - Configurations of models, and IR as text ----------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//

#include "Reader.h"

#include "moe-mlir/Import/Import.h"
#include "moe/Moe.h"
#include "moe_rt/MoeRt.h"
#include "moek/Moek.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace moe;

/// A new one now and then: a context keeps every attribute it ever saw.
static MLIRContext &getContext() {
  static std::unique_ptr<MLIRContext> context;
  static unsigned uses = 0;
  if (!context || ++uses > 200) {
    uses = 0;
    context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
    context->loadDialect<moe::MoeDialect, moek::MoekDialect, moert::MoeRtDialect, func::FuncDialect,
                         arith::ArithDialect, linalg::LinalgDialect,
                         math::MathDialect, scf::SCFDialect,
                         tensor::TensorDialect>();
  }
  return *context;
}

void fuzz::readConfig(std::string_view bytes) {
  MLIRContext &context = getContext();
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    said += diagnostic.str();
    return success();
  });
  // What is asked for follows from the bytes, too.
  uint32_t hash = 2166136261u;
  for (unsigned char c : bytes)
    hash = (hash ^ c) * 16777619u;
  static const char *layers[] = {"first", "first", "0", "1", "0-1", "2-3"};
  ImportOptions options;
  options.layers = layers[hash % 6];
  options.experts = (hash >> 8) % 3 ? 0 : 2;
  options.tokens = (hash >> 12) % 4 ? 0 : 5;
  options.weightsType = (hash >> 16) % 2 ? "bf16" : "f32";
  std::string error;
  OwningOpRef<ModuleOp> module =
      importConfig(context, StringRef(bytes.data(), bytes.size()),
                   "config.json", options, error);
  if (!module)
    return checkRefusal(error, bytes);
  if (failed(verify(*module)))
    fail("imported IR that does not verify: " + said);
}

std::vector<std::string> fuzz::configSeeds() {
  // Small ones; the real ones are in examples/models.
  const char *common =
      R"("num_hidden_layers":2,"hidden_size":16,"hidden_act":"silu","vocab_size":8,)";
  auto make = [&](std::string rest) {
    return "{" + std::string(common) + rest + "}";
  };
  return {
      make(
          R"("model_type":"mixtral","intermediate_size":24,"num_local_experts":4,"num_experts_per_tok":2)"),
      make(
          R"("model_type":"qwen3_moe","moe_intermediate_size":8,"num_experts":4,"num_experts_per_tok":2,"norm_topk_prob":true,"decoder_sparse_step":1,"mlp_only_layers":[])"),
      make(
          R"("model_type":"qwen2_moe","moe_intermediate_size":8,"shared_expert_intermediate_size":16,"num_experts":4,"num_experts_per_tok":2,"norm_topk_prob":false)"),
      make(
          R"("model_type":"deepseek_v3","moe_intermediate_size":8,"n_routed_experts":8,"num_experts_per_tok":2,"n_group":4,"topk_group":2,"n_shared_experts":1,"routed_scaling_factor":2.5,"first_k_dense_replace":0,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc","moe_layer_freq":1)"),
      make(
          R"("model_type":"deepseek_v2","moe_intermediate_size":8,"n_routed_experts":8,"num_experts_per_tok":2,"n_group":1,"topk_group":1,"n_shared_experts":2,"routed_scaling_factor":1.0,"first_k_dense_replace":0,"norm_topk_prob":false,"scoring_func":"softmax","topk_method":"greedy","moe_layer_freq":1)"),
      make(
          R"("model_type":"gpt_oss","intermediate_size":16,"num_local_experts":4,"num_experts_per_tok":2,"swiglu_limit":7.0)"),
      make(
          R"("model_type":"olmoe","intermediate_size":8,"num_experts":4,"num_experts_per_tok":2,"norm_topk_prob":false)"),
      make(
          R"("model_type":"phimoe","intermediate_size":8,"num_local_experts":4,"num_experts_per_tok":2,"router_jitter_noise":0.01)"),
      R"({"model_type":"llama4_text","num_hidden_layers":2,"hidden_size":16,"intermediate_size":8,"intermediate_size_mlp":16,"num_local_experts":4,"num_experts_per_tok":1,"interleave_moe_layer_step":1,"hidden_act":"silu"})",
      R"({"model_type":"switch_transformers","d_model":16,"d_ff":8,"num_experts":4,"num_layers":2,"num_sparse_encoder_layers":1,"num_sparse_decoder_layers":1,"expert_capacity":4,"dense_act_fn":"relu"})",
      R"({"model_type":"dbrx","d_model":16,"n_layers":2,"ffn_config":{"ffn_hidden_size":8,"moe_num_experts":4,"moe_top_k":2,"moe_normalize_expert_weights":1,"ffn_act_fn":{"name":"silu"}}})",
  };
}

void fuzz::readIR(std::string_view bytes) {
  MLIRContext &context = getContext();
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    said += diagnostic.str();
    return success();
  });
  // MLIR's lexer reads up to a zero behind the text.
  std::string copy(bytes);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(copy, &context);
  if (!module)
    return checkRefusal(said, bytes);
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os);
  if (!parseSourceString<ModuleOp>(text, &context))
    fail("what was printed does not parse: " + said);
}

std::vector<std::string> fuzz::irSeeds() {
  return {
      R"(func.func @f(%x: tensor<?x8xf32>, %z: tensor<?x4xf32>, %u: tensor<4x6x8xf32>, %d: tensor<4x8x6xf32>) -> tensor<?x8xf32> {
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax, #moe.scale<2.5>] : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %l = moe.routing.limit %r capacity 3 : !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %l : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %l : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%u, %d : tensor<4x6x8xf32>, tensor<4x8x6xf32>) {
  ^bb0(%t: tensor<?x8xf32>, %up: tensor<6x8xf32>, %down: tensor<8x6xf32>):
    %f = moe.ffn %t up(%up) down(%down) activation(#moe.relu) : (tensor<?x8xf32>, tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }
  %y = moe.combine %out by %l : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
})",
      R"(func.func @g(%z: tensor<?x4xf32>, %k: tensor<?xi32>) -> (tensor<?x4xi32>, tensor<?x5xf32>) {
  %r = moe.router #moe.group_top_k<4, groups = 2, keep = 2, reduce = top2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 4>
  %i = moe.routing.indices %r : !moe.routing<4 x 4> -> tensor<?x4xi32>
  %a = moe.routing.append %r : !moe.routing<4 x 4> -> !moe.routing<5 x 5>
  %w = moe.routing.weights %a : !moe.routing<5 x 5> -> tensor<?x5xf32>
  return %i, %w : tensor<?x4xi32>, tensor<?x5xf32>
})"};
}
