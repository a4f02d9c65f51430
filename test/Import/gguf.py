# Each architecture of GGUF files that a family reads, with the keys and the names
# of tensors that llama.cpp writes, against NumPy in float64.
#
# RUN: %python %s %t

import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from layer import *  # noqa: E402, F403

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
cases = []
NAMES = {
    "router.weight": "ffn_gate_inp.weight", "router.correction_bias": "exp_probs_b.bias",
    "router.scale": "ffn_gate_inp.scale", "router.per_expert_scale": "ffn_down_exps.scale",
    "experts.gate_proj": "ffn_gate_exps.weight", "experts.up_proj": "ffn_up_exps.weight",
    "experts.down_proj": "ffn_down_exps.weight", "shared.gate_proj": "ffn_gate_shexp.weight",
    "shared.up_proj": "ffn_up_shexp.weight", "shared.down_proj": "ffn_down_shexp.weight",
    "shared.gate": "ffn_gate_inp_shexp.weight", "latent.down": "ffn_latent_down.weight",
    "latent.up": "ffn_latent_up.weight",
}


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def value_of(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return struct.pack("<I", 8) + text(value)


def write(path, metadata, tensors):
    head, infos, data = b"", b"", b""
    for key, value in metadata.items():
        head += text(key) + value_of(value)
    for name, tensor in tensors.items():
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", tensor.ndim)
        infos += b"".join(struct.pack("<Q", size) for size in reversed(tensor.shape))
        infos += struct.pack("<IQ", 0, len(data))
        data += np.ascontiguousarray(tensor).tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + head + infos
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


def case(architecture, keys, tensors, formula, fused=False):
    cases.append((architecture, keys, tensors, formula, fused))


# The width of dense layers is another one.
plain = {"feed_forward_length": 12, "expert_feed_forward_length": I}
case("llama", {"feed_forward_length": I}, shapes(), standard(score=None, after=softmax))
for name in "qwen3moe", "qwen3vlmoe":
    case(name, plain, shapes(), standard(eps=0))
case("olmoe", plain, shapes(), standard())
case("jamba", plain, shapes(), standard())
case("dbrx", {"feed_forward_length": I}, shapes(), standard(eps=0))
case("grok", plain, shapes(), standard(bend=lambda z: cap(z, 30), act=geglu_tanh))
case("granitemoe", plain, shapes(), standard(score=None, after=softmax))
case("granitehybrid", {**plain, "expert_shared_feed_forward_length": S}, shapes(shared=S),
     standard(score=None, after=softmax, shared=swiglu))
one_shared = {**plain, "expert_shared_count": 1, "leading_dense_block_count": 1}
case("hunyuan-moe", {**plain, "expert_shared_count": 1, "expert_shared_feed_forward_length": S}, shapes(shared=S),
     standard(eps=0, shared=swiglu))
case("deepseek", {**one_shared, "expert_weights_scale": 1.0}, shapes(shared=I), standard(shared=swiglu))
case("bailingmoe", {**one_shared, "expert_weights_scale": 1.0, "expert_weights_norm": True}, shapes(shared=I),
     standard(eps=1e-20, shared=swiglu))
gated = {**plain, "expert_shared_feed_forward_length": S}
case("qwen2moe", gated, shapes(shared=S, gate=True), standard(shared=swiglu, gate=True))
case("qwen3next", gated, shapes(shared=S, gate=True), standard(eps=0, shared=swiglu, gate=True))
case("qwen35moe", gated, shapes(shared=S, gate=True), standard(eps=0, shared=swiglu, gate=True), fused=True)

# Sigmoid with a bias that only the choice sees.
v3 = dict(score=sigmoid, bias=True, eps=1e-20, shared=swiglu)
sigmoids = {**one_shared, "expert_gating_func": 2, "expert_weights_norm": True, "expert_weights_scale": 2.5}
with_bias = shapes(bias=True, shared=I)
for name in "deepseek2", "glm-dsa", "glm4moe", "exaone-moe", "dots1", "afmoe", "kimi-linear":
    case(name, sigmoids, with_bias, standard(**v3, scale=2.5))
for name in "deepseek2", "bailingmoe2":
    case(name, {**sigmoids, "expert_group_count": 4, "expert_group_used_count": 2}, with_bias,
         standard(**v3, groups=(4, 2), scale=2.5))
case("deepseek2", {**one_shared, "expert_gating_func": 1, "expert_weights_scale": 1.5}, shapes(shared=I),
     standard(scale=1.5, shared=swiglu))
case("deepseek2-ocr", {**one_shared, "expert_gating_func": 1}, shapes(shared=I), standard(shared=swiglu),
     fused=True)
case("mimo2", {**plain, "expert_gating_func": 2}, shapes(bias=True),
     standard(**{**v3, "shared": None}))
case("minimax-m2", {**plain, "expert_gating_func": 2}, shapes(bias=True),
     standard(score=sigmoid, bias=True, eps=0))
case("lfm2moe", {**plain, "leading_dense_block_count": 1, "expert_gating_func": 2}, shapes(bias=True),
     standard(score=sigmoid, bias=True, eps=1e-6))
case("step35", {**sigmoids, "expert_shared_feed_forward_length": S, "swiglu_clamp_exp": 0.5},
     shapes(bias=True, shared=S),
     standard(score=sigmoid, bias=True, eps=0, scale=2.5, act=clamped_behind(0.5), shared=swiglu))
case("mistral4", {**one_shared, "expert_weights_norm": True, "expert_gating_func": 1}, shapes(shared=I),
     standard(eps=1e-20, shared=swiglu), fused=True)
case("ernie4_5-moe", one_shared, with_bias, standard(bias=True, floor=1e-12, shared=swiglu))
case("gemma4", {**plain, "attention.layer_norm_rms_epsilon": 1e-6},
     {**shapes(), "router.scale": (H,), "router.per_expert_scale": (E,), "x_experts": (T, H)}, gemma4,
     fused=True)
nemo = {"expert_feed_forward_length": I, "feed_forward_length": [0, I], "expert_shared_count": 1,
        "expert_shared_feed_forward_length": S, "expert_weights_norm": True, "expert_weights_scale": 2.5,
        "expert_group_count": 4, "expert_group_used_count": 2, "expert_gating_func": 2}
up_down = {"router.weight": (E, H), "router.correction_bias": (E,), "experts.up_proj": (E, I, H),
           "experts.down_proj": (E, H, I), "shared.up_proj": (S, H), "shared.down_proj": (H, S)}
case("nemotron_h_moe", nemo, up_down, nemotron)
case("nemotron_h_moe", {**nemo, "moe_latent_size": 3},
     {**up_down, "latent.down": (3, H), "latent.up": (H, 3), "experts.up_proj": (E, I, 3),
      "experts.down_proj": (E, 3, I)}, nemotron)


def check(number, architecture, keys, tensors, formula, fused):
    stem = os.path.join(folder, f"{number}-{architecture}")
    values, _ = make_values(number, tensors)
    weights = weights_of(values)
    stored = {}
    if fused:
        stored["blk.1.ffn_gate_up_exps.weight"] = np.concatenate(
            [weights.pop("experts.gate_proj"), weights.pop("experts.up_proj")], 1)
    for key, value in weights.items():
        stored["blk.1." + NAMES[key]] = value
    sizes = {"block_count": 2, "embedding_length": H, "expert_count": E, "expert_used_count": K, **keys}
    write(stem + ".gguf", {"general.architecture": architecture, "general.name": "made up",
                           **{f"{architecture}.{key}": value for key, value in sizes.items()}}, stored)
    problem = check_layer(stem, stem + ".gguf", 1, values, formula)
    return f"{architecture}: {problem}" if problem else None


failures = [problem for number, entry in enumerate(cases) if (problem := check(number, *entry))]
print("\n".join(failures))
assert len(cases) >= 35, len(cases)
sys.exit(bool(failures))
