# Each family computes the formula of its model: tiny layers with random weights,
# read from a checkpoint as the model has it, against NumPy in float64. The formulas
# were written from the models' own code.
#
# RUN: %python %s %t

import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layouts  # noqa: E402
from layer import *  # noqa: E402, F403

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
cases = []


def case(name, config, tensors, formula, layer="1", inputs=None):
    cases.append((name, {"model_type": name, "hidden_size": H, **config}, tensors, formula,
                  layer, inputs or (lambda rng: {})))


# The layer of DeepSeek-V3 under the names of many.

v3 = dict(score=sigmoid, bias=True, eps=1e-20, shared=swiglu)
v3_keys = {"num_hidden_layers": 4, "moe_intermediate_size": I, "n_routed_experts": E,
           "num_experts_per_tok": K, "first_k_dense_replace": 1, "routed_scaling_factor": 2.5}
grouped = {**v3_keys, "n_group": 4, "topk_group": 2, "n_shared_experts": 1}
ungrouped = {**v3_keys, "n_shared_experts": 1}
with_shared = shapes(bias=True, shared=I)
for name in "deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_k25", "axk1", "bailing_hybrid", "sarvam_moe":
    case(name, grouped, with_shared, standard(**v3, groups=(4, 2), scale=2.5))
for name in "glm_moe_dsa", "glm4_moe", "glm4_moe_lite", "glm4v_moe", "axk2", "sarvam_mla":
    case(name, ungrouped, with_shared, standard(**v3, scale=2.5))
case("solar_open", {**ungrouped, "first_k_dense_replace": 0}, with_shared, standard(**v3, scale=2.5))
case("dots1", ungrouped, with_shared, standard(**{**v3, "eps": None}, scale=2.5))
case("dots3_note", {**ungrouped, "n_shared_experts": 2, "shared_experts_intermediate_size": S},
     shapes(bias=True, shared=2 * S), standard(**v3, scale=2.5))
other = {"num_hidden_layers": 4, "moe_intermediate_size": I, "num_experts": E, "num_experts_per_tok": K}
case("exaone_moe", {**other, "num_shared_experts": 2, "routed_scaling_factor": 1.5,
                    "mlp_layer_types": ["dense", "dense", "sparse", "sparse"]},
     shapes(bias=True, shared=2 * I), standard(**v3, scale=1.5), layer="2")
case("kimi_linear", {"num_hidden_layers": 4, "moe_intermediate_size": I, "num_experts": E,
                     "num_experts_per_token": K, "num_shared_experts": 1, "num_expert_group": 2,
                     "topk_group": 1, "moe_renormalize": True, "routed_scaling_factor": 2.446,
                     "moe_router_activation_func": "sigmoid", "use_grouped_topk": True},
     with_shared, standard(**v3, groups=(2, 1), scale=2.446))
case("hy_v3", {**other, "num_shared_experts": 1, "router_scaling_factor": 2.826},
     with_shared, standard(**v3, scale=2.826))
case("mimo_v2_flash", {**v3_keys, "n_shared_experts": None, "routed_scaling_factor": None,
                       "first_k_dense_replace": 0, "moe_layer_freq": [0, 1, 0, 1]},
     shapes(bias=True), standard(**{**v3, "shared": None}), layer="3")
case("afmoe", {**other, "num_shared_experts": 1, "num_dense_layers": 1, "route_scale": 2.0},
     with_shared, standard(**v3, scale=2.0))
case("beam", {**other, "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5},
     shapes(bias=True), standard(**{**v3, "shared": None}, groups=(4, 2), scale=2.5), layer="3")
ten = clamped(1.0, 0.5, 0.0)
case("glm5_next", {**ungrouped, "swiglu_limit": 0.5}, with_shared,
     standard(**{**v3, "shared": ten}, act=ten, scale=2.5))
for name in "hy_v4", "hy_v4_vl":
    case(name, {**ungrouped, "swiglu_limit": 0.5}, with_shared, standard(**v3, act=ten, scale=2.5))

# Softmax relatives of DeepSeek.

case("deepseek_v2", {**ungrouped, "routed_scaling_factor": 1.5}, shapes(shared=I),
     standard(scale=1.5, shared=swiglu))
for name in "deepseek", "deepseek_ocr2", "unlimited_ocr":
    case(name, {**ungrouped, "routed_scaling_factor": 1.0}, shapes(shared=I), standard(shared=swiglu))
case("bailing_moe", {**other, "num_shared_experts": 1, "norm_topk_prob": True,
                     "first_k_dense_replace": 0}, shapes(shared=I), standard(eps=1e-20, shared=swiglu))
for name in "mistral4", "mistral_large4":
    case(name, grouped, shapes(shared=I), standard(groups=(4, 2), eps=1e-20, scale=2.5, shared=swiglu))


# DeepSeek-V4, whose first layers choose by token.

def hashed(x, w):
    s = sqrt_softplus(x @ w["router.weight"].T)
    chosen = w["router.table"][w["ids"]]
    v = np.take_along_axis(s, chosen, 1)
    v = v / (v.sum(1, keepdims=True) + 1e-20) * 1.5
    return routed(x, chosen, v, lambda e, r: ffn(r, w, "experts", ten, e)) + ffn(x, w, "shared", ten)


v4 = {"num_hidden_layers": 4, "moe_intermediate_size": I, "n_routed_experts": E, "num_experts_per_tok": K,
      "num_hash_layers": 2, "swiglu_limit": 0.5, "routed_scaling_factor": 1.5, "vocab_size": 11}
case("deepseek_v4", v4, with_shared,
     standard(**{**v3, "score": sqrt_softplus, "shared": ten}, act=ten, scale=1.5), layer="2")
case("deepseek_v4", v4, shapes(shared=I), hashed, layer="1", inputs=lambda rng: {
    "ids": rng.integers(0, 11, T).astype(np.int32),
    "router.table": np.array([rng.permutation(E)[:K] for _ in range(11)], np.int32)})

# Qwen and relatives.

qwen = {**other, "norm_topk_prob": True}
for name in "qwen3_moe", "qwen3_vl_moe", "qwen3_omni_moe", "mellum":
    case(name, qwen, shapes(), standard(eps=0))
with_gate = shapes(shared=S, gate=True)
for name in "qwen3_next", "qwen3_5_moe", "qwen4_exp":
    case(name, {**other, "shared_expert_intermediate_size": S}, with_gate,
         standard(eps=0, shared=swiglu, gate=True))
case("qwen2_moe", {**other, "shared_expert_intermediate_size": S}, with_gate,
     standard(shared=swiglu, gate=True))
case("lara_mini", {**other, "shared_expert_intermediate_size": S}, shapes(shared=S),
     standard(eps=0, shared=swiglu))
case("flint", {**other, "shared_expert_intermediate_size": S}, shapes(shared=S),
     standard(score=sigmoid, eps=0, shared=swiglu), layer="2")

# Sigmoid with a bias of their own.

mini = {"num_hidden_layers": 2, "intermediate_size": I, "num_local_experts": E, "num_experts_per_tok": K}
case("minimax_m2", mini, shapes(bias=True), standard(score=sigmoid, bias=True, eps=0))
gpt = clamped(1.702, 0.5, 1.0)
case("minimax_m3", {**mini, "shared_intermediate_size": S, "swiglu_limit": 0.5, "hidden_act": "swigluoai",
                    "moe_layer_freq": [0, 1]}, shapes(bias=True, shared=S),
     standard(score=sigmoid, bias=True, eps=0, scale=2.0, act=gpt, shared=gpt), layer="1")
step = {"num_hidden_layers": 6, "moe_intermediate_size": I, "moe_num_experts": E, "moe_top_k": K,
        "share_expert_dim": S, "moe_router_scaling_factor": 3.0, "moe_layers_enum": "3, 4,5",
        "swiglu_limits": [0, 0, 0, 0.0, 0.5, 0.25], "swiglu_limits_shared": [0, 0, 0, None, 0, 0.75]}
for layer, act, shared in ("3", swiglu, swiglu), ("4", clamped_behind(0.5), swiglu), \
        ("5", clamped_behind(0.25), clamped_behind(0.75)):
    case("step3p5", step, shapes(bias=True, shared=S),
         standard(score=sigmoid, bias=True, eps=0, scale=3.0, act=act, shared=shared), layer=layer)
case("kolibri1", {**other, "shared_expert_intermediate_size": S}, shapes(bias=True, shared=S),
     standard(score=None, bias=True, on_logits=True, after=sigmoid, shared=swiglu))
case("laguna", {**other, "shared_expert_intermediate_size": S, "moe_routed_scaling_factor": 2.5,
                "moe_router_logit_softcapping": 1.5}, shapes(bias=True, shared=S),
     standard(score=sigmoid, bias=True, eps=0, scale=2.5, shared=swiglu, bend=lambda z: cap(z, 1.5)))
capped = softcapped(0.75, 1.5)
for name in "inkling2", "inkling2_loop":
    case(name, {"num_hidden_layers": 2, "moe_intermediate_size": I, "n_routed_experts": E,
                "num_experts_per_tok": K, "route_scale": 8.0, "mlp_gate_softcap": 0.75,
                "mlp_up_softcap": 1.5},
         shapes(bias=True), standard(score=sigmoid, bias=True, eps=1e-20, scale=8.0, act=capped))
lfm = {**other, "num_dense_layers": 1, "routed_scaling_factor": 1.25}
case("lfm2_moe", lfm, shapes(bias=True), standard(score=sigmoid, bias=True, eps=1e-6, scale=1.25))
case("lfm2_moe", {**lfm, "use_expert_bias": False}, shapes(),
     standard(score=sigmoid, eps=1e-6, scale=1.25))
case("ernie4_5_moe", {"num_hidden_layers": 4, "moe_intermediate_size": I, "moe_num_experts": E, "moe_k": K,
                      "moe_num_shared_experts": 2, "moe_norm_min": 0.9}, shapes(bias=True, shared=2 * I),
     standard(bias=True, floor=0.9, shared=swiglu))
case("ernie4_5_vl_moe", {"num_hidden_layers": 4, "moe_intermediate_size": [I, 3], "moe_num_experts": E,
                         "moe_k": K, "moe_num_shared_experts": 1}, shapes(bias=True, shared=I),
     standard(bias=True, floor=1e-12, shared=swiglu))


def inkling(x, w):
    n = 2
    z = x @ w["router.weight"].T
    s = sigmoid(z)
    chosen = best(s[:, :E] + w["router.correction_bias"], K)
    v = np.concatenate([np.take_along_axis(s, chosen, 1), s[:, E:]], 1)
    v = v / v.sum(1, keepdims=True) * 8.0 * w["router.global_scale"]
    y = routed(x, chosen, v[:, :K], lambda e, r: ffn(r, w, "experts", swiglu, e))
    for i in range(n):
        y += v[:, K + i:K + i + 1] * ffn(x, w, "shared", swiglu, i)
    return y


case("inkling_text", {"num_hidden_layers": 2, "moe_intermediate_size": I, "n_routed_experts": E,
                      "num_experts_per_tok": K, "n_shared_experts": 2, "route_scale": 8.0},
     {**shapes(bias=True), "router.weight": (E + 2, H), "router.global_scale": (1,),
      "shared.gate_proj": (2, I, H), "shared.up_proj": (2, I, H), "shared.down_proj": (2, H, I)}, inkling)

# Softmax of the chosen, and other old ones.

chosen_softmax = standard(score=None, after=softmax)
for name in "mixtral", "minimax", "granitemoe":
    case(name, mini, shapes(), chosen_softmax)
for name in "granitemoeshared", "granitemoehybrid", "granitemoe_swa":
    case(name, {**mini, "shared_intermediate_size": S}, shapes(shared=S),
         standard(score=None, after=softmax, shared=swiglu))
for name in "olmoe", "flex_olmo":
    case(name, {**mini, "norm_topk_prob": True}, shapes(), standard(eps=0))
case("hunyuan_v1_moe", {"num_hidden_layers": 3, "intermediate_size": I, "num_experts": [2, E, 4],
                        "moe_topk": [1, K, 2]}, shapes(shared=I), standard(eps=0, shared=swiglu), layer="1")
case("aria_text", {"num_hidden_layers": 2, "intermediate_size": I, "moe_num_experts": E, "moe_topk": K,
                   "moe_num_shared_experts": 2, "hidden_act": "gelu_new"}, shapes(shared=2 * I),
     standard(score=None, after=softmax, shared=geglu_tanh))
case("grok-1", {**mini, "router_logit_softcapping": 1.5}, shapes(),
     standard(bend=lambda z: cap(z, 1.5), act=geglu_tanh))
biased = shapes(biases=True, logit_bias=True)
for name in "gpt_oss", "openai_privacy_filter":
    case(name, {**mini, "swiglu_limit": 0.5}, biased,
         standard(score=None, after=softmax, act=gpt, logit_bias=True))


def jetmoe(x, w):
    return chosen_softmax(x, w) + w["output.bias"]


case("jetmoe", mini, {**shapes(), "output.bias": (H,)}, jetmoe)
cohere = {**mini, "num_experts": E, "num_shared_experts": 1}
cohere.pop("num_local_experts")
case("cohere2_moe", cohere, shapes(shared=I),
     lambda x, w: standard(score=None, after=softmax, shared=swiglu)(x, w) / 2)
case("cohere2_moe", {**cohere, "expert_selection_fn": "sigmoid",
                     "shared_expert_combination_strategy": "sum"}, shapes(shared=I),
     standard(score=None, after=sigmoid, eps=0, shared=swiglu))


# Forms of their own.

for name in "gemma4_text", "diffusion_gemma":
    case(name, {"num_hidden_layers": 2, "moe_intermediate_size": I, "num_experts": E, "top_k_experts": K,
                **({"enable_moe_block": True} if name == "gemma4_text" else {})},
         {**shapes(), "router.scale": (H,), "router.per_expert_scale": (E,), "x_experts": (T, H)}, gemma4)

nemo = {"hybrid_override_pattern": "M*EE", "moe_intermediate_size": I, "n_routed_experts": E,
        "num_experts_per_tok": K, "moe_shared_expert_intermediate_size": S, "n_group": 4, "topk_group": 2,
        "routed_scaling_factor": 2.5}
plain = {"router.weight": (E, H), "router.correction_bias": (E,), "experts.up_proj": (E, I, H),
         "experts.down_proj": (E, H, I), "shared.up_proj": (S, H), "shared.down_proj": (H, S)}
case("nemotron_h", nemo, plain, nemotron, layer="2")
case("nemotron_h", {**nemo, "moe_latent_size": 3},
     {**plain, "latent.down": (3, H), "latent.up": (H, 3), "experts.up_proj": (E, I, 3),
      "experts.down_proj": (E, 3, I)}, nemotron, layer="3")


def longcat(x, w):
    p = softmax(x @ w["router.weight"].T)
    chosen = best(p + w["router.correction_bias"], K)
    v = np.take_along_axis(p, chosen, 1) * 6.0
    return routed(x, chosen, v, lambda e, r: ffn(r, w, "experts", swiglu, e) if e < E else r)


case("longcat_flash", {"num_layers": 2, "expert_ffn_hidden_size": I, "n_routed_experts": E, "moe_topk": K,
                       "zero_expert_num": 5},
     {**shapes(), "router.weight": (E + 5, H), "router.correction_bias": (E + 5,)}, longcat)


def muse(x, w):
    s = sigmoid(x @ w["router.weight"].T * 0.3)
    chosen = best(s + w["router.correction_bias"], K)
    v = np.take_along_axis(s, chosen, 1)
    v = v / (v.sum(1, keepdims=True) + 1e-15) * 1.5
    inside = rms(x @ w["latent.down"].T, 1e-3) * (1 + w["latent.norm"])
    y = routed(inside, chosen, v,
               lambda e, r: rms(ffn(r, w, "experts", swiglu, e) * (1 + w["experts.norm"]), 1e-2))
    return y @ w["latent.up"].T


case("muse_spark_text", {"num_hidden_layers": 2, "moe_intermediate_size": I, "num_local_experts": E,
                         "num_experts_per_tok": K, "moe_hidden_size": 3, "output_multiplier": 0.3,
                         "routed_scaling_factor": 1.5, "rms_norm_eps": 1e-3, "post_norm_eps": 1e-2},
     {"router.weight": (E, H), "router.correction_bias": (E,), "latent.down": (3, H), "latent.norm": (3,),
      "latent.up": (H, 3), "experts.gate_proj": (E, I, 3), "experts.up_proj": (E, I, 3),
      "experts.down_proj": (E, 3, I), "experts.norm": (3,)}, muse)


def check(number, name, config, tensors, formula, layer, inputs):
    stem = os.path.join(folder, f"{number}-{name}")
    os.makedirs(stem, exist_ok=True)
    with open(os.path.join(stem, "config.json"), "w") as file:
        json.dump(config, file)
    values, rng = make_values(number, tensors)
    values.update(inputs(rng))
    save(os.path.join(stem, "model.safetensors"), layouts.store(name, weights_of(values), layer))
    problem = check_layer(stem, stem, layer, values, formula)
    return f"{name}, layer {layer}: {problem}" if problem else None


failures = [problem for number, entry in enumerate(cases) if (problem := check(number, *entry))]
print("\n".join(failures))
assert len(cases) >= 80, len(cases)
sys.exit(bool(failures))
