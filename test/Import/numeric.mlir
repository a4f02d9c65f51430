// Imported layers compute what the models define: tiny configurations against
// values from an independent oracle (see ../Reference/gen_fixtures.py).

// RUN: rm -rf %t && split-file %s %t

// RUN: moe-import %t/mixtral.json -o %t/mixtral.mlir
// RUN: moe-interpret %t/mixtral.mlir --inputs=%S/../Reference/Inputs/mixtral-weights.safetensors,%S/../Reference/Inputs/mixtral-t5.safetensors --expect=%S/../Reference/Inputs/mixtral-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/mixtral.mlir --inputs=%S/../Reference/Inputs/mixtral-weights.safetensors,%S/../Reference/Inputs/mixtral-t1.safetensors --expect=%S/../Reference/Inputs/mixtral-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/mixtral.mlir --inputs=%S/../Reference/Inputs/mixtral-weights.safetensors,%S/../Reference/Inputs/mixtral-t0.safetensors --expect=%S/../Reference/Inputs/mixtral-t0.safetensors --tolerance=1e-12

// RUN: moe-import --weights-type=bf16 %t/qwen3.json -o %t/qwen3.mlir
// RUN: moe-interpret %t/qwen3.mlir --inputs=%S/../Reference/Inputs/qwen3-weights.safetensors,%S/../Reference/Inputs/qwen3-t5.safetensors --expect=%S/../Reference/Inputs/qwen3-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/qwen3.mlir --inputs=%S/../Reference/Inputs/qwen3-weights.safetensors,%S/../Reference/Inputs/qwen3-t1.safetensors --expect=%S/../Reference/Inputs/qwen3-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/qwen3.mlir --inputs=%S/../Reference/Inputs/qwen3-weights.safetensors,%S/../Reference/Inputs/qwen3-t0.safetensors --expect=%S/../Reference/Inputs/qwen3-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/qwen2-moe.json -o %t/qwen2-moe.mlir
// RUN: moe-interpret %t/qwen2-moe.mlir --inputs=%S/../Reference/Inputs/qwen2-moe-weights.safetensors,%S/../Reference/Inputs/qwen2-moe-t5.safetensors --expect=%S/../Reference/Inputs/qwen2-moe-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/qwen2-moe.mlir --inputs=%S/../Reference/Inputs/qwen2-moe-weights.safetensors,%S/../Reference/Inputs/qwen2-moe-t1.safetensors --expect=%S/../Reference/Inputs/qwen2-moe-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/qwen2-moe.mlir --inputs=%S/../Reference/Inputs/qwen2-moe-weights.safetensors,%S/../Reference/Inputs/qwen2-moe-t0.safetensors --expect=%S/../Reference/Inputs/qwen2-moe-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/olmoe.json -o %t/olmoe.mlir
// RUN: moe-interpret %t/olmoe.mlir --inputs=%S/../Reference/Inputs/olmoe-weights.safetensors,%S/../Reference/Inputs/olmoe-t5.safetensors --expect=%S/../Reference/Inputs/olmoe-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/olmoe.mlir --inputs=%S/../Reference/Inputs/olmoe-weights.safetensors,%S/../Reference/Inputs/olmoe-t1.safetensors --expect=%S/../Reference/Inputs/olmoe-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/olmoe.mlir --inputs=%S/../Reference/Inputs/olmoe-weights.safetensors,%S/../Reference/Inputs/olmoe-t0.safetensors --expect=%S/../Reference/Inputs/olmoe-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/deepseek-v3.json -o %t/deepseek-v3.mlir
// RUN: moe-interpret %t/deepseek-v3.mlir --inputs=%S/../Reference/Inputs/deepseek-v3-weights.safetensors,%S/../Reference/Inputs/deepseek-v3-t5.safetensors --expect=%S/../Reference/Inputs/deepseek-v3-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/deepseek-v3.mlir --inputs=%S/../Reference/Inputs/deepseek-v3-weights.safetensors,%S/../Reference/Inputs/deepseek-v3-t1.safetensors --expect=%S/../Reference/Inputs/deepseek-v3-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/deepseek-v3.mlir --inputs=%S/../Reference/Inputs/deepseek-v3-weights.safetensors,%S/../Reference/Inputs/deepseek-v3-t0.safetensors --expect=%S/../Reference/Inputs/deepseek-v3-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/deepseek-v2.json -o %t/deepseek-v2.mlir
// RUN: moe-interpret %t/deepseek-v2.mlir --inputs=%S/../Reference/Inputs/deepseek-v2-weights.safetensors,%S/../Reference/Inputs/deepseek-v2-t5.safetensors --expect=%S/../Reference/Inputs/deepseek-v2-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/deepseek-v2.mlir --inputs=%S/../Reference/Inputs/deepseek-v2-weights.safetensors,%S/../Reference/Inputs/deepseek-v2-t1.safetensors --expect=%S/../Reference/Inputs/deepseek-v2-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/deepseek-v2.mlir --inputs=%S/../Reference/Inputs/deepseek-v2-weights.safetensors,%S/../Reference/Inputs/deepseek-v2-t0.safetensors --expect=%S/../Reference/Inputs/deepseek-v2-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/llama4.json -o %t/llama4.mlir
// RUN: moe-interpret %t/llama4.mlir --inputs=%S/../Reference/Inputs/llama4-weights.safetensors,%S/../Reference/Inputs/llama4-t5.safetensors --expect=%S/../Reference/Inputs/llama4-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/llama4.mlir --inputs=%S/../Reference/Inputs/llama4-weights.safetensors,%S/../Reference/Inputs/llama4-t1.safetensors --expect=%S/../Reference/Inputs/llama4-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/llama4.mlir --inputs=%S/../Reference/Inputs/llama4-weights.safetensors,%S/../Reference/Inputs/llama4-t0.safetensors --expect=%S/../Reference/Inputs/llama4-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/gpt-oss.json -o %t/gpt-oss.mlir
// RUN: moe-interpret %t/gpt-oss.mlir --inputs=%S/../Reference/Inputs/gpt-oss-weights.safetensors,%S/../Reference/Inputs/gpt-oss-t5.safetensors --expect=%S/../Reference/Inputs/gpt-oss-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/gpt-oss.mlir --inputs=%S/../Reference/Inputs/gpt-oss-weights.safetensors,%S/../Reference/Inputs/gpt-oss-t1.safetensors --expect=%S/../Reference/Inputs/gpt-oss-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/gpt-oss.mlir --inputs=%S/../Reference/Inputs/gpt-oss-weights.safetensors,%S/../Reference/Inputs/gpt-oss-t0.safetensors --expect=%S/../Reference/Inputs/gpt-oss-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/switch.json -o %t/switch.mlir
// RUN: moe-interpret %t/switch.mlir --inputs=%S/../Reference/Inputs/switch-weights.safetensors,%S/../Reference/Inputs/switch-t5.safetensors --expect=%S/../Reference/Inputs/switch-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/switch.mlir --inputs=%S/../Reference/Inputs/switch-weights.safetensors,%S/../Reference/Inputs/switch-t1.safetensors --expect=%S/../Reference/Inputs/switch-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/switch.mlir --inputs=%S/../Reference/Inputs/switch-weights.safetensors,%S/../Reference/Inputs/switch-t0.safetensors --expect=%S/../Reference/Inputs/switch-t0.safetensors --tolerance=1e-12

// RUN: moe-import %t/dbrx.json -o %t/dbrx.mlir
// RUN: moe-interpret %t/dbrx.mlir --inputs=%S/../Reference/Inputs/dbrx-weights.safetensors,%S/../Reference/Inputs/dbrx-t5.safetensors --expect=%S/../Reference/Inputs/dbrx-t5.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/dbrx.mlir --inputs=%S/../Reference/Inputs/dbrx-weights.safetensors,%S/../Reference/Inputs/dbrx-t1.safetensors --expect=%S/../Reference/Inputs/dbrx-t1.safetensors --tolerance=1e-12
// RUN: moe-interpret %t/dbrx.mlir --inputs=%S/../Reference/Inputs/dbrx-weights.safetensors,%S/../Reference/Inputs/dbrx-t0.safetensors --expect=%S/../Reference/Inputs/dbrx-t0.safetensors --tolerance=1e-12

//--- mixtral.json
{"model_type": "mixtral", "intermediate_size": 5, "num_local_experts": 8,
 "num_experts_per_tok": 2, "num_hidden_layers": 1, "hidden_size": 6}
//--- qwen3.json
{"model_type": "qwen3_moe", "moe_intermediate_size": 5, "num_experts": 7,
 "num_experts_per_tok": 3, "norm_topk_prob": true, "num_hidden_layers": 1,
 "hidden_size": 6}
//--- qwen2-moe.json
{"model_type": "qwen2_moe", "moe_intermediate_size": 5,
 "shared_expert_intermediate_size": 5, "num_experts": 5,
 "num_experts_per_tok": 2, "num_hidden_layers": 1, "hidden_size": 6}
//--- olmoe.json
{"model_type": "olmoe", "intermediate_size": 5, "num_experts": 6,
 "num_experts_per_tok": 6, "num_hidden_layers": 1, "hidden_size": 6}
//--- deepseek-v3.json
{"model_type": "deepseek_v3", "moe_intermediate_size": 5,
 "n_routed_experts": 12, "n_shared_experts": 1, "num_experts_per_tok": 3,
 "first_k_dense_replace": 0, "n_group": 4, "topk_group": 2,
 "routed_scaling_factor": 2.5, "num_hidden_layers": 1, "hidden_size": 6}
//--- deepseek-v2.json
{"model_type": "deepseek_v2", "moe_intermediate_size": 5,
 "n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2,
 "first_k_dense_replace": 0, "topk_method": "group_limited_greedy",
 "n_group": 3, "topk_group": 2, "routed_scaling_factor": 1.5,
 "num_hidden_layers": 1, "hidden_size": 6}
//--- llama4.json
{"model_type": "llama4_text", "intermediate_size": 5, "num_local_experts": 4,
 "num_experts_per_tok": 1, "num_hidden_layers": 1, "hidden_size": 6}
//--- gpt-oss.json
{"model_type": "gpt_oss", "intermediate_size": 5, "num_local_experts": 6,
 "num_experts_per_tok": 2, "num_hidden_layers": 1, "hidden_size": 6}
//--- switch.json
{"model_type": "switch_transformers", "d_model": 6, "d_ff": 5,
 "num_layers": 1, "num_decoder_layers": 0, "num_sparse_encoder_layers": 1,
 "num_sparse_decoder_layers": 0, "num_experts": 3, "expert_capacity": 1}
//--- dbrx.json
{"model_type": "dbrx", "n_layers": 1, "d_model": 6,
 "ffn_config": {"ffn_hidden_size": 5, "moe_num_experts": 6, "moe_top_k": 2,
 "ffn_act_fn": {"name": "gelu"}}}
