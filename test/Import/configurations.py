# Every key of a configuration is read, known to be harmless, named in a note,
# or an error; a key that is not there has upstream's value. The numbers are
# those of upstream's configuration classes, written down by hand.
#
# RUN: %python %s %t

import json
import os
import struct
import subprocess
import sys

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
failures = []


def run(config, *options, name="config.json"):
    path = os.path.join(folder, name)
    text = config if isinstance(config, str) else json.dumps(config)
    with open(path, "w") as file:
        file.write(text)
    done = subprocess.run(["moe-import", *options, path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def imports(what, config, *expected, notes=(), options=(), without=(),
            name="config.json"):
    """Imports with all of `expected` in the IR, and with these notes only."""
    status, out, err = run(config, *options, name=name)
    lines = err.splitlines()
    good = (status == 0 and all(text in out for text in expected)
            and not any(text in out for text in without)
            and len(lines) == len(notes)
            and all(text in line and ": note: " in line
                    for text, line in zip(notes, lines)))
    if not good:
        failures.append((what, status, err, out))


def refuses(what, config, *expected, options=()):
    """One line of error with all of `expected`, and nothing else."""
    status, out, err = run(config, *options)
    good = (status == 1 and out == "" and err.count("\n") == 1
            and err.startswith("moe-import: error: ")
            and all(text in err for text in expected) and "bug" not in err)
    if not good:
        failures.append((what, status, err, out[:300]))


# Defaults: what upstream's class of the model type has.

absent = "not in the file, so as upstream has it: "
sizes = "{} = {}, hidden_size = {}, {} = {}, num_experts_per_tok = {}, num_hidden_layers = {}"


def defaults(model_type, layers, hidden, inner, experts, per_token, *expected,
             more="", **keys):
    name, inner = inner
    wide, experts = experts
    note = absent + sizes.format(wide, experts, hidden, name, inner,
                                 per_token, layers) + more
    imports("defaults of " + model_type, {"model_type": model_type, **keys},
            f"tensor<{experts}x{inner}x{hidden}xf32>",
            f"!moe.routing<{experts} x {per_token}>", *expected,
            notes=[note])
    # The last layer there is, and the one after it.
    refuses("layers of " + model_type, {"model_type": model_type, **keys},
            f"there is no layer {layers}:", options=[f"--layers={layers}"])


moe, dense = "moe_intermediate_size", "intermediate_size"
softmax = "weighing [#moe.softmax]"
sum_eps = "#moe.normalize<sum, eps = 1.0e-20>"
defaults("mixtral", 32, 4096, (dense, 14336), ("num_local_experts", 8), 2, softmax)
defaults("granitemoe", 32, 4096, (dense, 11008), ("num_local_experts", 8), 2, softmax)
defaults("gpt_oss", 36, 2880, (dense, 2880), ("num_local_experts", 128), 4,
         "alpha = 1.702, limit = 7.0, offset = 1.0")
defaults("phimoe", 32, 4096, (dense, 6400), ("num_local_experts", 16), 2,
         "#moe.sparse_mixer<eps = 0.01>")
defaults("olmoe", 16, 2048, (dense, 2048), ("num_experts", 64), 8, "weigh(%probabilities) :")
defaults("jamba", 32, 4096, (dense, 14336), ("num_experts", 16), 2, "@layer_1(")
defaults("qwen3_moe", 24, 2048, (moe, 768), ("num_experts", 128), 8,
         "weigh(%probabilities) :")
defaults("qwen2_moe", 24, 2048, (moe, 1408), ("num_experts", 60), 4,
         "weigh(%probabilities) :", "%shared_up_proj: tensor<5632x2048xf32>",
         more=", shared_expert_intermediate_size = 5632")
defaults("qwen3_next", 48, 2048, (moe, 512), ("num_experts", 512), 10,
         "#moe.normalize<sum, eps = 0.0>", "%shared_up_proj: tensor<512x2048xf32>",
         more=", shared_expert_intermediate_size = 512")
defaults("llama4", 48, 5120, (dense, 8192), ("num_local_experts", 16), 1, "@layer_0(",
         "%shared_up_proj: tensor<8192x5120xf32>")
for model_type in "deepseek_v3", "kimi_k2":
    defaults(model_type, 61, 7168, (moe, 2048), ("n_routed_experts", 256), 8,
             "@layer_3(", "#moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>",
             sum_eps + ", #moe.scale<2.5>", "%shared_up_proj: tensor<2048x7168xf32>")
defaults("glm4_moe", 46, 4096, (moe, 1408), ("n_routed_experts", 128), 8,
         "@layer_1(", "#moe.top_k<8>", f"[{sum_eps}]", "%shared_up_proj: tensor<1408x4096xf32>")
imports("defaults of deepseek_v2", {"model_type": "deepseek_v2", "num_experts_per_tok": 6},
        "@layer_0(", "tensor<64x1407x4096xf32>", "#moe.top_k<6>", "weigh(%probabilities) :",
        "%shared_up_proj: tensor<2814x4096xf32>",
        notes=[absent + "n_routed_experts = 64, hidden_size = 4096, "
               "moe_intermediate_size = 1407, num_hidden_layers = 32"])
imports("defaults of granitemoeshared", {"model_type": "granitemoeshared"},
        "tensor<8x11008x4096xf32>", notes=[absent], without=["shared"])
imports("defaults of dbrx", {"model_type": "dbrx"}, "tensor<4x3584x2048xf32>",
        "#moe.top_k<1>", "p = 1.0", "activation(#moe.silu)",
        notes=[absent + "ffn_config.moe_num_experts = 4, d_model = 2048, "
               "ffn_config.ffn_hidden_size = 3584, ffn_config.moe_top_k = 1, n_layers = 24"])
imports("defaults of switch", {"model_type": "switch_transformers"},
        "tensor<8x2048x768xf32>", "capacity 64", "activation(#moe.relu)", *[
            f"@layer_{n}(" for n in (1, 5, 9, 13, 17, 21)],
        options=["--layers=all"], without=["@layer_3(", "router.bias"], notes=[absent])
imports("defaults of nllb", {"model_type": "nllb-moe"}, "tensor<128x4096x1024xf32>",
        "[#moe.scale<0.8>]", "activation(#moe.relu)",
        *[f"@layer_{n}(" for n in (3, 7, 11, 15, 19, 23)],
        options=["--layers=all"], without=["limit", "router.bias"], notes=[absent])

# Other spellings, levels and values that mean nothing or off.

tiny = {"num_hidden_layers": 4, "hidden_size": 64, "num_experts_per_tok": 4}
qwen = {"model_type": "qwen3_moe", "moe_intermediate_size": 32, **tiny}
deepseek = {"model_type": "deepseek_v3", "moe_intermediate_size": 32,
            "n_routed_experts": 16, "n_group": 4, "topk_group": 2,
            "first_k_dense_replace": 1, **tiny}
gpt = {"model_type": "gpt_oss", "intermediate_size": 32, "num_local_experts": 16, **tiny}

saved = {
    "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": False,
    "attention_dropout": 0.0, "bos_token_id": 1, "decoder_sparse_step": 1,
    "dtype": "bfloat16", "eos_token_id": 2, "head_dim": 128, "hidden_act": "silu",
    "initializer_range": 0.02, "intermediate_size": 6144,
    "max_position_embeddings": 40960, "mlp_only_layers": [], "norm_topk_prob": True,
    "num_attention_heads": 32, "num_key_value_heads": 4, "num_local_experts": 16,
    "output_router_logits": False, "pad_token_id": None, "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"},
    "router_aux_loss_coef": 0.001, "sliding_window": None,
    "tie_word_embeddings": False, "transformers_version": "5.24.0",
    "use_cache": True, "use_sliding_window": False, "vocab_size": 151936}
imports("qwen3_moe as transformers 5 writes it", {**qwen, **saved},
        "!moe.routing<16 x 4>", "#moe.normalize<sum, eps = 0.0>")
refuses("two spellings that differ", {**qwen, "num_experts": 8, "num_local_experts": 16},
        "key 'num_experts' is 8, but 'num_local_experts', another name of it, is 16")
imports("a spelling that only other types have upstream",
        {"model_type": "qwen3_next", "num_local_experts": 16}, "!moe.routing<16 x 10>",
        notes=[absent])
imports("gpt-oss gives a number twice", {**gpt, "experts_per_token": 4},
        "!moe.routing<16 x 4>")
refuses("gpt-oss gives two numbers", {**gpt, "experts_per_token": 2}, "'experts_per_token'")
imports("no shared expert", {**qwen, "model_type": "qwen3_next", "num_experts": 16,
                             "shared_expert_intermediate_size": 0},
        "!moe.routing<16 x 4>", without=["shared"])
imports("text_config of a known type",
        {"model_type": "kimi_k99", "vision_config": {"hidden_size": 8},
         "text_config": {**deepseek, "model_type": "kimi_k2"}},
        "groups = 4, keep = 2", "moe.scale<2.5>",
        notes=["model_type 'kimi_k99', which holds a 'kimi_k2', which is imported"])
imports("thinker_config", {"model_type": "some_omni", "thinker_config": {
    "model_type": "some_thinker", "text_config": {**qwen, "num_experts": 16}}},
        "!moe.routing<16 x 4>", notes=["'some_omni', which holds a 'some_thinker', which holds"])
refuses("text_config of an unknown type",
        {"model_type": "bert4", "text_config": {"model_type": "bert4_text"}},
        "key 'model_type' is 'bert4', which holds a 'bert4_text', which is not supported; "
        "moe-import --list-models lists the 1", " model types that are")
refuses("the path of a key", {"model_type": "x", "text_config": {**qwen, "num_experts": -1}},
        "key 'text_config.num_experts' must be an integer from 0 to 1048576, but is -1")
refuses("groups below text_config",
        {"model_type": "x", "text_config": {**deepseek, "n_group": 3}},
        "key 'text_config.n_group' does not fit: 16 experts cannot be split evenly into 3")
refuses("default groups that do not fit", {**deepseek, "n_routed_experts": 12, "n_group": None},
        "key 'n_group' is null, which means nothing for it")
ungrouped = {key: value for key, value in deepseek.items() if key != "n_group"}
refuses("groups by default", {**ungrouped, "n_routed_experts": 12},
        "12 experts cannot be split evenly into 8 groups "
        "(the file gives no 'n_group', and 8 is the default)")
for name, value in [("swiglu_limit", None), ("zero_expert_num", 0), ("mlp_bias", False),
                    ("moe_latent_size", None), ("quantization_config", None),
                    ("per_layer_config", {}), ("scoring_func", "sigmoid"),
                    ("expert_groups", 1), ("use_expert_bias", False)]:
    imports("off: " + name, {**deepseek, name: value}, "#moe.group_top_k<4")

# Keys that change the formula.

for name, value, expected in [
        ("swiglu_limit", 10.0, "is 10: it clamps what goes into the activation"),
        ("zero_expert_num", 256, "is 256: it adds experts that do nothing"),
        ("zero_expert_type", "identity", 'is "identity": it adds experts'),
        ("moe_latent_size", 1024, "is 1024: it makes the experts work in a smaller space"),
        ("mlp_bias", True, "is true: it adds biases"),
        ("use_expert_bias", True, "is true: it adds a bias to the scores"),
        ("router_logit_softcapping", 30.0, "is 30: it bends the logits"),
        ("expert_dtype", "fp4", 'is "fp4": it may change a layer, by its name'),
        ("num_expert_groups", 4, "is 4: it may change a layer"),
        ("use_bias", True, "is true: it may change a layer"),
        ("router_num_heads", 4, "is 4: it may change a layer"),
        ("capacity_factor", 1.0, "is 1: it may change a layer"),
        ("shared_intermediate_size", 64, "is 64: it may change a layer"),
        ("moe_layer_positions", [1], "is [1]: it may change a layer"),
        ("scoring_func", "softmax", 'is "softmax"; this model type supports "sigmoid"'),
        ("topk_method", "greedy", 'is "greedy"; this model type supports "noaux_tc"')]:
    refuses(name, {**deepseek, name: value}, f"key '{name}' {expected}",
            "(model_type 'deepseek_v3')")
mixtral = {"model_type": "mixtral", "intermediate_size": 32, "num_local_experts": 8, **tiny}
for name, value in [("scoring_func", "sigmoid"), ("norm_topk_prob", False),
                    ("routed_scaling_factor", 2.5), ("n_shared_experts", 1),
                    ("first_k_dense_replace", 1), ("shared_expert_intermediate_size", 64)]:
    refuses("mixtral with " + name, {**mixtral, name: value}, f"key '{name}' is ")
imports("mixtral with the values it has", {**mixtral, "scoring_func": "softmax",
        "norm_topk_prob": True, "routed_scaling_factor": 1.0, "n_shared_experts": 0}, softmax)
refuses("scoring_func of qwen3_moe", {**qwen, "scoring_func": "sigmoid"},
        "key 'scoring_func' is \"sigmoid\"; this model type supports \"softmax\"")

fp8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
refuses("quantised", {**deepseek, "quantization_config": fp8},
        "key 'quantization_config' says that the weights of this checkpoint are quantised",
        "f32 or bf16", "--ignore-quantization")
refuses("quantised around", {"model_type": "x", "text_config": deepseek,
                             "compression_config": {"format": "int4"}}, "'compression_config'")
imports("quantised, and that is fine", {**deepseek, "quantization_config": fp8},
        "tensor<16x32x64xbf16>", options=["--ignore-quantization", "--weights-type=bf16"],
        notes=["quantised ('quantization_config'); the layers take weights of bf16"])

refuses("a layer of other experts", {**gpt, "per_layer_config": {
    "2": {"skip": ["mlp"]}, "1": {"num_local_experts": 8}}},
        "key 'per_layer_config' gives layer 1 a 'num_local_experts' of its own")
refuses("a layer without experts", {**gpt, "per_layer_config": {"2": {"skip": ["mlp"]}}},
        "gives layer 2 a 'skip' of its own")
imports("a layer of other attention", {**gpt, "per_layer_config": {"2": {"sliding_window": 64}}},
        "!moe.routing<16 x 4>")

# Harmless keys make no noise, others are named in one line.

imports("released files", {
    **deepseek, "attention_bias": False, "auto_map": {"AutoConfig": "c.C"}, "aux_loss_alpha": 0.001,
    "ep_size": 1, "initializer_range": 0.02, "intermediate_size": 18432, "kv_lora_rank": 512,
    "max_position_embeddings": 163840, "moe_layer_freq": 1, "num_attention_heads": 128,
    "num_nextn_predict_layers": 1, "pretraining_tp": 1, "q_lora_rank": 1536,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-6,
    "rope_scaling": {"factor": 40}, "rope_theta": 10000, "seq_aux": True, "torch_dtype": "bfloat16",
    "use_cache": True, "v_head_dim": 128, "vocab_size": 129280}, "keep = 2")
imports("what transformers 4 writes into every file", {
    **qwen, "num_experts": 16, "_attn_implementation_autoset": True, "_name_or_path": "a/b",
    "add_cross_attention": True, "bad_words_ids": [[1]], "begin_suppress_tokens": [1],
    "chunk_size_feed_forward": 2, "cross_attention_hidden_size": 64, "decoder_start_token_id": 2,
    "diversity_penalty": 0.5, "do_sample": True, "early_stopping": True,
    "encoder_no_repeat_ngram_size": 1, "exponential_decay_length_penalty": [1, 2],
    "finetuning_task": "x", "forced_bos_token_id": 1, "id2label": {"0": "L"},
    "is_decoder": True, "is_encoder_decoder": True, "label2id": {"L": 0}, "length_penalty": 1.0,
    "max_length": 20, "min_length": 1, "no_repeat_ngram_size": 1, "num_beam_groups": 1,
    "num_beams": 4, "num_return_sequences": 1, "output_attentions": True,
    "output_hidden_states": True, "output_scores": True, "prefix": "x", "problem_type": "x",
    "pruned_heads": {"0": [1]}, "remove_invalid_values": True, "repetition_penalty": 1.1,
    "return_dict": True, "return_dict_in_generate": True, "sep_token_id": 3,
    "suppress_tokens": [1], "task_specific_params": {"x": 1}, "temperature": 0.7,
    "tf_legacy_loss": True, "tie_encoder_decoder": True, "tokenizer_class": "T", "top_k": 50,
    "top_p": 0.9, "torchscript": True, "typical_p": 0.9, "use_bfloat16": True},
        "!moe.routing<16 x 4>")
imports("unknown keys", {**mixtral, "zebra": 1, "colour": "red", "off": False},
        softmax, notes=["not looked at: colour, zebra"])
imports("many unknown keys", {**mixtral, **{f"k{n:03}\x1b[31m": 1 for n in range(40)}},
        softmax, notes=["not looked at: k000?[31m, k001?[31m, "])
imports("an unknown key below", {"model_type": "llama4", "unheard": 1, "text_config": {
    "intermediate_size": 32, "num_local_experts": 8, **tiny, "num_experts_per_tok": 1,
    "novelty": 2}}, "#moe.sigmoid", notes=["not looked at: text_config.novelty, unheard"])

# Layers that are dense.

jamba = {"model_type": "jamba", "intermediate_size": 96, **tiny, "num_experts_per_tok": 2}
refuses("jamba with one expert", {**jamba, "num_experts": 1},
        "none of its 4 layers is a MoE layer: with 'num_experts' 1, every layer is dense")
imports("jamba with two", {**jamba, "num_experts": 2}, "@layer_1(", "@layer_3(",
        options=["--layers=all"], without=["@layer_0(", "@layer_2("])
refuses("qwen without experts", {**qwen, "num_experts": 0},
        "none of its 4 layers is a MoE layer: with 'num_experts' 0, every layer is dense")
imports("one expert of mixtral is one", {**mixtral, "num_local_experts": 1,
                                         "num_experts_per_tok": 1}, "!moe.routing<1 x 1>")
nllb = {"model_type": "nllb-moe", "d_model": 64, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "encoder_layers": 4, "decoder_layers": 4}
refuses("one expert of nllb", {**nllb, "num_experts": 1}, "key 'num_experts' is 1",
        "a layer with one expert is a dense layer")
refuses("nllb without steps", {**nllb, "num_experts": 1, "encoder_sparse_step": 0,
        "decoder_sparse_step": 9}, "none of its 8 layers is a MoE layer")
imports("two widths", {**nllb, "num_experts": 8, "decoder_ffn_dim": 32},
        "tensor<8x64x64xf32>", "tensor<8x32x64xf32>", options=["--layers=all"])
imports("the decoder's width", {**nllb, "num_experts": 8, "decoder_ffn_dim": 32,
        "encoder_sparse_step": 0}, "@layer_7(", "tensor<8x32x64xf32>")
refuses("steps beyond the model", {**qwen, "num_experts": 16, "decoder_sparse_step": 5},
        "none of its 4 layers")
refuses("dense layers first", {**deepseek, "first_k_dense_replace": 4}, "none of its 4 layers")
refuses("llama4 with no layers", {"model_type": "llama4", "text_config": {
    **tiny, "num_experts_per_tok": 1, "num_local_experts": 8, "moe_layers": []}},
        "none of its 4 layers")
imports("switch, one sparse layer for none",
        {"model_type": "switch_transformers", "d_model": 8, "d_ff": 8, "num_layers": 6,
         "num_decoder_layers": None, "num_sparse_encoder_layers": 0,
         "num_sparse_decoder_layers": 2, "encoder_sparse_step": 3, "num_experts": 4},
        "@layer_1(", "@layer_4(", "@layer_7(", "@layer_10(", options=["--layers=all"],
        without=["@layer_0(", "@layer_2(", "@layer_3("])

# Hostile values: an error at the key, and never IR that does not parse.

for name in "hidden_size", "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok":
    for value in -1, 0, 2**62, 2**64, 1.5, "8", True, [], {}, None:
        refuses(f"{name} {value}", {**deepseek, name: value}, f"key '{name}' ")
for name in "routed_scaling_factor",:
    for value in 1e39, 1e-320, "2", True, [1]:
        refuses(f"{name} {value}", {**deepseek, name: value}, f"key '{name}' must be a number")
    for word in "NaN", "Infinity", "-Infinity":
        text = json.dumps({**deepseek, name: 77}).replace("77", word)
        refuses(word, text, f"key '{name}' must be a number that f32 holds, but is ")
imports("Infinity elsewhere", json.dumps({**deepseek, "rope_x": 77, "a": "NaN \\"}).replace(
    "77", "[0.0, Infinity, NaN]"), "keep = 2", notes=["not looked at: a"])
for value in 0, -1.0, 1e-46:
    refuses(f"swiglu_limit {value}", {**gpt, "swiglu_limit": value}, "key 'swiglu_limit' must be ")
refuses("an argument of an activation", {"model_type": "dbrx", "ffn_config": {
    "ffn_act_fn": {"name": "gelu", "approximate": "tanh"}}},
        "key 'ffn_config.ffn_act_fn.approximate' is \"tanh\": it is an argument of the activation")
refuses("a dropout of everything", {**nllb, "num_experts": 8, "moe_token_dropout": 1.0},
        "key 'moe_token_dropout' is not from 0 to below 1")
refuses("a type to print", {"model_type": "x\x1b]0;\n" + "y" * 100},
        "key 'model_type' is 'x?]0;?yyyy", "yyy...', which is not supported")
imports("odd names", mixtral, 'moe.model = "a__b___ _c"', name='a*"b\'\\# \nc.json')
refuses("tokens beyond 32 bits", mixtral, "--tokens=2147483648 is not a number of tokens; "
        "use 1 to 2147483647", options=["--tokens=2147483648"])
imports("many tokens", mixtral, "tensor<2147483647x64xf32>", options=["--tokens=2147483647"])
refuses("a million layers", {**mixtral, "num_hidden_layers": 1 << 20},
        "--layers=all is 1048576 layers, and one import has at most 4096",
        options=["--layers=all"])
refuses("a range of them", {**mixtral, "num_hidden_layers": 1 << 20},
        "--layers=5-5000 is 4996 layers, and one import has at most 4096",
        options=["--layers=5-5000"])
imports("the largest sizes", {**mixtral, "num_hidden_layers": 1 << 20, "hidden_size": 1 << 20,
        "intermediate_size": 1 << 20, "num_local_experts": 1 << 20,
        "num_experts_per_tok": 1 << 20}, "!moe.routing<1048576 x 1048576>", "@layer_1048575(",
        options=["--layers=1048575"])

# NLLB in numbers: both experts give relu(2 * 3 + 1) * 0.5 - 1 = 2.5, of which
# 80 % is taken; with one token, a fraction of 1/4 leaves each of them its token.


def save(path, tensors):
    header, data = {}, b""
    for key, (shape, numbers) in tensors.items():
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


for keys, y in ({}, 2.0), ({"moe_eval_capacity_token_fraction": 0.25}, 2.0), ({"moe_token_dropout": 0}, 2.5):
    status, out, err = run({**nllb, **keys, "d_model": 1, "encoder_ffn_dim": 1, "decoder_ffn_dim": 1,
                            "num_experts": 2}, "-o", os.path.join(folder, "nllb.mlir"))
    save(os.path.join(folder, "nllb.safetensors"), {
        "x": ([1, 1], [2]), "y": ([1, 1], [y]), "router.weight": ([2, 1], [0, 1]),
        "experts.up_proj": ([2, 1, 1], [3, 3]), "experts.up_proj_bias": ([2, 1], [1, 1]),
        "experts.down_proj": ([2, 1, 1], [0.5, 0.5]), "experts.down_proj_bias": ([2, 1], [-1, -1])})
    done = subprocess.run(["moe-interpret", "nllb.mlir", "--inputs=nllb.safetensors", "--expect=nllb.safetensors",
                           "--tolerance=1e-6"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if status or done.returncode:
        failures.append((f"NLLB in numbers, {keys}", done.returncode, err, done.stdout.decode()))

for what, status, err, out in failures:
    print(f"{what}: exit status {status}\n{err}{out[:2000]}\n")
sys.exit(bool(failures))
