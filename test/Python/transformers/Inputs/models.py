"""Tiny random models of many families, from their configuration classes."""

import importlib

import torch

#: What most configuration classes take. Vocabulary, heads and layers are small; I is no
#: multiple of 32 where that is allowed, since padding is what breaks first.
COMMON = dict(vocab_size=96, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2)
#: Those of multi-head latent attention.
LATENT = dict(num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=16, qk_rope_head_dim=8,
              v_head_dim=16)
SIGMOID = dict(n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=40, n_shared_experts=1, n_group=2,
               topk_group=1, first_k_dense_replace=1)

#: Family: its configuration class, and what differs from COMMON.
FAMILIES = {
    "qwen3_moe": ("Qwen3MoeConfig", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=40, head_dim=16)),
    "mixtral": ("MixtralConfig", dict(num_local_experts=4, num_experts_per_tok=2)),
    "gpt_oss": ("GptOssConfig", dict(num_local_experts=8, num_experts_per_tok=2, head_dim=16, intermediate_size=64)),
    "deepseek_v3": ("DeepseekV3Config", {**LATENT, **SIGMOID}),
    "deepseek_v2": ("DeepseekV2Config", {**LATENT, **SIGMOID, "topk_method": "greedy"}),
    "olmoe": ("OlmoeConfig", dict(num_experts=8, num_experts_per_tok=3, intermediate_size=40)),
    "qwen2_moe": ("Qwen2MoeConfig", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=40,
                                         shared_expert_intermediate_size=48)),
    "qwen3_next": ("Qwen3NextConfig", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=40, head_dim=16,
                                           shared_expert_intermediate_size=48, linear_num_key_heads=2,
                                           linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16,
                                           layer_types=["linear_attention", "full_attention"])),
    "glm4_moe": ("Glm4MoeConfig", {**SIGMOID, "head_dim": 16}),
    "phimoe": ("PhimoeConfig", dict(num_local_experts=4, num_experts_per_tok=2)),
    "granitemoe": ("GraniteMoeConfig", dict(num_local_experts=4, num_experts_per_tok=2)),
    "jamba": ("JambaConfig", dict(num_experts=4, num_experts_per_tok=2, use_mamba_kernels=False, mamba_d_state=8,
                                  mamba_d_conv=4, mamba_expand=2, mamba_dt_rank=8, attn_layer_period=2,
                                  attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1)),
    "minimax_m2": ("MiniMaxM2Config", dict(num_local_experts=8, num_experts_per_tok=2, head_dim=16, rotary_dim=8,
                                           intermediate_size=40)),
    "lfm2_moe": ("Lfm2MoeConfig", dict(num_experts=8, num_experts_per_tok=2, moe_intermediate_size=40,
                                       num_dense_layers=1, layer_types=["conv", "full_attention"])),
    "ernie4_5_moe": ("Ernie4_5_MoeConfig", dict(moe_num_experts=8, moe_k=2, moe_intermediate_size=40,
                                                moe_num_shared_experts=1, moe_layer_start_index=0)),
    "hunyuan_v1_moe": ("HunYuanMoEV1Config", dict(num_experts=8, moe_topk=2, head_dim=16)),
    "deepseek_v4": ("DeepseekV4Config", dict(moe_intermediate_size=40, n_routed_experts=8, num_experts_per_tok=3)),
    "nemotron_h": ("NemotronHConfig", dict(n_routed_experts=8, num_experts_per_tok=2, moe_intermediate_size=40)),
    "dots1": ("Dots1Config", {**SIGMOID, "head_dim": 16}),
    "flex_olmo": ("FlexOlmoConfig", dict(num_experts=8, num_experts_per_tok=2, intermediate_size=40)),
    "aria": ("AriaTextConfig", dict(moe_num_experts=8, moe_topk=2, intermediate_size=40)),
    "minimax_m3_vl": ("MiniMaxM3VLTextConfig", dict(num_local_experts=8, num_experts_per_tok=2, head_dim=16)),
}


def config(family, **changes):
    name, differences = FAMILIES[family]
    module = importlib.import_module(f"transformers.models.{family}.configuration_{family}")
    return getattr(module, name)(**{**COMMON, **differences, **changes})


def scramble(model, seed):
    """Redraws all parameters such that rows have the size of those in trained models."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            value = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                value = 1 + 0.1 * value
            else:
                value *= 1.5 / parameter.shape[-1] ** 0.5
            parameter.copy_(value)


def model(family, seed=0, dtype=torch.float32, **changes):
    """A model of `family` with a head for text, in evaluation mode."""
    from transformers import AutoModelForCausalLM

    made = AutoModelForCausalLM.from_config(config(family, **changes), dtype=dtype, attn_implementation="eager").eval()
    scramble(made, seed)
    return made


def experts(model):
    """The modules that transformers dispatches, by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "_is_expert_parallel")}


def experts_alone(family, name, seed, dtype=torch.float32, **attributes):
    """The class of experts `name` of a family, with a configuration of just `attributes`."""
    from types import SimpleNamespace

    module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    made = getattr(module, name)(SimpleNamespace(_experts_implementation="moe_mlir", **attributes)).to(dtype)
    scramble(made, seed)
    return made


def without_interface(name, dtype=torch.float32):
    """A model whose experts transformers does not dispatch."""
    import transformers

    words = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(0)
    if name == "llama4":
        made = transformers.AutoModelForCausalLM.from_config(transformers.Llama4TextConfig(
            vocab_size=96, hidden_size=64, intermediate_size=40, intermediate_size_mlp=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_local_experts=8, num_experts_per_tok=1,
            interleave_moe_layer_step=1, **words), attn_implementation="eager")
    elif name == "dbrx":
        made = transformers.AutoModelForCausalLM.from_config(transformers.DbrxConfig(
            d_model=64, n_heads=4, n_layers=2, max_seq_len=64, vocab_size=96,
            attn_config=dict(kv_n_heads=2, clip_qkv=8.0, rope_theta=10000.0),
            ffn_config=dict(ffn_hidden_size=40, moe_num_experts=6, moe_top_k=2, hidden_size=64,
                            moe_normalize_expert_weights=1.0), **words))
    else:
        # A capacity that is exceeded: 9 tokens on 4 experts that take 2 each.
        made = transformers.SwitchTransformersForConditionalGeneration(transformers.SwitchTransformersConfig(
            vocab_size=96, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_sparse_encoder_layers=1,
            num_decoder_layers=2, num_sparse_decoder_layers=1, num_heads=4, num_experts=4, expert_capacity=2,
            dropout_rate=0.0, router_jitter_noise=0.0, pad_token_id=0, decoder_start_token_id=0))
    made = made.to(dtype).eval()
    scramble(made, 0)
    return made
