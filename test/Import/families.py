# What the IR of released models says: policies, weighings, sizes and which layers,
# from their papers, configurations and code. The formulas in numbers are in
# formulas.py; here are the real sizes, and the spellings of each family.
#
# RUN: %python %s %t %examples/models

import json
import os
import subprocess
import sys

folder, examples = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
failures = []
NORM20 = "#moe.normalize<sum, eps = 1.0e-20>"
NORM0 = "#moe.normalize<sum, eps = 0.0>"
SHARED = "init(%shared"


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def check(name, first, count, sizes, slots, *expected, without=()):
    """`first` is the number of the first layer with experts, of `count`; `sizes` E,
    I and H of the experts' matrices; `slots` the number of experts of a token. `name`
    is a file of examples/models, or a configuration."""
    path = os.path.join(examples, f"{name}.json")
    if isinstance(name, dict):
        path = os.path.join(folder, name["model_type"] + ".json")
        with open(path, "w") as file:
            json.dump(name, file)
    status, out, err = run("moe-import", "--layers=all", path)
    experts, inner, hidden = sizes
    wanted = [f"@layer_{first}(", f"experts_up_proj: tensor<{experts}x{inner}x{hidden}xf32>",
              f"experts_down_proj: tensor<{experts}x{hidden}x{inner}xf32>", f" x {slots}>", *expected]
    missing = [text for text in wanted if text not in out] + [text for text in without if text in out]
    if status or err or missing or out.count("func.func") != count or f"@layer_{first - 1}(" in out:
        failures.append((name, status, err, missing, out.count("func.func"), out[:1500]))


def one(model_type, **keys):
    return {"model_type": model_type, **keys}


# Relatives of DeepSeek-V3: sigmoid, a bias that only the choice sees.
V3 = ("weigh(%scores)", "select(%corrected)", SHARED)
check("DeepSeek-V3.2", 3, 58, (256, 2048, 7168), 8, *V3, f"[{NORM20}, #moe.scale<2.5>]",
      "#moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>", "shared_up_proj: tensor<2048x7168xf32>")
check("GLM-5.2", 3, 75, (256, 2048, 6144), 8, *V3, "#moe.top_k<8>", f"[{NORM20}, #moe.scale<2.5>]")
check("GLM-4.7-Flash", 1, 46, (64, 1536, 2048), 4, *V3, "#moe.top_k<4>", "#moe.scale<1.8>")
check("Kimi-K2.5", 1, 60, (384, 2048, 7168), 8, *V3, "#moe.top_k<8>", "#moe.scale<2.827>")
check("Kimi-Linear-48B-A3B", 1, 26, (256, 1024, 2304), 8, *V3, "#moe.top_k<8>", "#moe.scale<2.446>")
check("dots.llm1", 1, 61, (128, 1408, 4096), 6, *V3, "#moe.top_k<6>", "shared_up_proj: tensor<2816x4096xf32>")
check("Ling-mini-2.0", 1, 19, (256, 512, 2048), 8, *V3,
      "#moe.group_top_k<8, groups = 8, keep = 4, reduce = top2>")
check("MiMo-V2-Flash", 1, 47, (256, 2048, 4096), 8, *V3[:2], f"[{NORM20}]", without=["shared"])
check(one("afmoe", hidden_size=2048, moe_intermediate_size=1024, num_hidden_layers=32, num_dense_layers=2,
          num_experts=128, num_experts_per_tok=8, num_shared_experts=1, route_norm=True, route_scale=2.826,
          score_func="sigmoid"), 2, 30, (128, 1024, 2048), 8, *V3, f"[{NORM20}, #moe.scale<2.826>]")
check(one("hy_v3", hidden_size=4096, moe_intermediate_size=1536, num_hidden_layers=80, num_experts=192,
          num_experts_per_tok=8, num_shared_experts=1, router_scaling_factor=2.826,
          enable_moe_fp32_combine=True), 1, 79, (192, 1536, 4096), 8, *V3, "#moe.scale<2.826>")
check(one("exaone_moe", hidden_size=4096, moe_intermediate_size=1024, num_hidden_layers=3, num_experts=64,
          num_experts_per_tok=8, num_shared_experts=2, mlp_layer_types=["sparse", "dense", "sparse"]),
      0, 2, (64, 1024, 4096), 8, *V3, "shared_up_proj: tensor<2048x4096xf32>", "@layer_2(")
check(one("sarvam_moe", hidden_size=4096, moe_intermediate_size=1024, num_hidden_layers=19, num_experts=128,
          num_experts_per_tok=6, num_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1,
          score_function="sigmoid", moe_router_enable_expert_bias=True), 1, 18, (128, 1024, 4096), 6, *V3)
check(one("beam", hidden_size=5120, moe_intermediate_size=2560, num_hidden_layers=52, num_experts=256,
          num_experts_per_tok=8), 3, 49, (256, 2560, 5120), 8, "groups = 8, keep = 4", "#moe.scale<2.5>",
      without=["shared"])
check(one("glm5_next_text", hidden_size=4096, moe_intermediate_size=2048, num_hidden_layers=45,
          n_routed_experts=288, num_experts_per_tok=8), 3, 42, (288, 2048, 4096), 8, *V3,
      "alpha = 1.0, limit = 10.0, offset = 0.0", without=["#moe.silu"])
# Its shared expert is not clamped.
check(one("hy_v4", hidden_size=2816, moe_intermediate_size=768, num_hidden_layers=34, n_routed_experts=256,
          num_experts_per_tok=8), 1, 33, (256, 768, 2816), 8, "alpha = 1.0, limit = 10.0, offset = 0.0",
      "#moe.silu", "#moe.scale<2.827>")
check("DeepSeek-V4-Flash", 0, 43, (256, 2048, 4096), 6, "#moe.hash<table, 6>", "#moe.top_k<6>", "math.log1p",
      "%ids: tensor<?xi32>", "router_table: tensor<129280x6xi32>", f"[{NORM20}, #moe.scale<1.5>]",
      "alpha = 1.0, limit = 10.0, offset = 0.0", SHARED)
check(one("mistral4", hidden_size=4096, moe_intermediate_size=2048, num_hidden_layers=36, n_routed_experts=128,
          num_experts_per_tok=4, n_group=4, topk_group=2), 0, 36, (128, 2048, 4096), 4, SHARED,
      "#moe.group_top_k<4, groups = 4, keep = 2, reduce = top2>", "linalg.softmax", without=["correction_bias"])

# Qwen and relatives.
check("Qwen3.5-397B-A17B", 0, 60, (512, 1024, 4096), 10, "#moe.top_k<10>", f"[{NORM0}]",
      "shared_gate: tensor<1x4096xf32>", "shared_up_proj: tensor<1024x4096xf32>")
check("Qwen3-VL-30B-A3B", 0, 48, (128, 768, 2048), 8, "#moe.top_k<8>", f"[{NORM0}]", without=["shared"])
check(one("mellum", hidden_size=2304, moe_intermediate_size=896, num_hidden_layers=4, num_experts=64,
          num_experts_per_tok=8, norm_topk_prob=True, mlp_layer_types=["dense"] + 3 * ["sparse"]),
      1, 3, (64, 896, 2304), 8, f"[{NORM0}]")
check(one("lara_mini", hidden_size=1024, moe_intermediate_size=512, shared_expert_intermediate_size=512,
          num_hidden_layers=34, num_experts=128, num_experts_per_tok=4), 0, 34, (128, 512, 1024), 4, SHARED,
      without=["shared_gate:"])
check(one("flint", hidden_size=2048, moe_intermediate_size=512, shared_expert_intermediate_size=1024,
          num_hidden_layers=49, num_experts=256, num_experts_per_tok=6), 2, 47, (256, 512, 2048), 6,
      SHARED, "select(%scores) weigh(%scores)", without=["linalg.softmax", "correction_bias"])

# Others.
check("MiniMax-M2", 0, 62, (256, 1536, 3072), 8, "weigh(%scores)", "correction_bias", f"[{NORM0}]",
      without=["shared"])
check("MiniMax-M3", 3, 57, (128, 3072, 6144), 4, f"[{NORM0}, #moe.scale<2.0>]", SHARED,
      "alpha = 1.702, limit = 7.0, offset = 1.0", without=["#moe.silu", "gate_proj_bias"])
check("Step-3.5-Flash", 3, 42, (288, 1280, 4096), 8, f"[{NORM0}, #moe.scale<3.0>]", SHARED,
      "arith.constant 7.000000e+00", "arith.constant -1.600000e+01", "arith.minimumf")
check("Nemotron-3-Nano-30B-A3B", 1, 23, (128, 1856, 2688), 6, "#moe.relu2", f"[{NORM20}, #moe.scale<2.5>]",
      "shared_up_proj: tensor<3712x2688xf32>", without=["latent", "gate_proj"])
check("Nemotron-3-Super-120B-A12B", 1, 40, (512, 2688, 1024), 22, "latent_down: tensor<1024x4096xf32>",
      "latent_up: tensor<4096x1024xf32>", "shared_up_proj: tensor<5376x4096xf32>", "#moe.scale<5.0>")
check("ERNIE-4.5-21B-A3B", 1, 27, (64, 1536, 2560), 6, "linalg.softmax", "#moe.normalize<clamp, min = 1.0e-12>",
      "weigh(%probabilities)", "correction_bias", "shared_up_proj: tensor<3072x2560xf32>")
check("LFM2-8B-A1B", 2, 22, (32, 1792, 2048), 4, "#moe.normalize<sum, eps = 1.0e-06>", "correction_bias",
      without=["shared"])
check("LongCat-Flash", 0, 28, (512, 2048, 6144), 12, "!moe.routing<768 x 12>", "experts 512 to 768",
      "[#moe.scale<6.0>]", "router_weight: tensor<768x6144xf32>")
check("Gemma-4-26B-A4B", 0, 30, (128, 704, 2816), 8, "%x_experts: tensor<?x2816xf32>", "#moe.gelu_tanh",
      "router_scale: tensor<2816xf32>", "moe.routing.reweigh", f"[{NORM0}]")
check("Granite-4.0-H-Small", 0, 40, (72, 768, 4096), 10, "[#moe.softmax]", SHARED,
      "shared_up_proj: tensor<1536x4096xf32>")
check("Hunyuan-A13B", 0, 32, (64, 3072, 4096), 8, "linalg.softmax", f"[{NORM0}]", SHARED)
check(one("cohere2_moe", hidden_size=4096, intermediate_size=1024, num_hidden_layers=4, num_experts=8,
          num_experts_per_tok=2, num_shared_experts=2, first_k_dense_replace=1), 1, 3, (8, 1024, 4096), 2,
      "[#moe.softmax]", "shared_up_proj: tensor<2048x4096xf32>", "arith.constant 5.000000e-01")
check(one("kolibri1", hidden_size=2560, moe_intermediate_size=512, shared_expert_intermediate_size=512,
          num_hidden_layers=50, num_experts=384, num_experts_per_tok=6), 0, 50, (384, 512, 2560), 6,
      "select(%corrected) weigh(%logits) weighing [#moe.sigmoid]", SHARED)
check(one("laguna", hidden_size=2048, moe_intermediate_size=512, shared_expert_intermediate_size=512,
          num_hidden_layers=40, num_experts=256, num_experts_per_tok=8, moe_routed_scaling_factor=2.5,
          moe_router_logit_softcapping=5.0, gating=True), 1, 39, (256, 512, 2048), 8, "math.tanh", SHARED,
      f"[{NORM0}, #moe.scale<2.5>]")
check(one("inkling2_text", hidden_size=4608, moe_intermediate_size=2304, num_hidden_layers=48,
          n_routed_experts=384, num_experts_per_tok=8), 0, 48, (384, 2304, 4608), 8, "body",
      f"[{NORM20}, #moe.scale<8.0>]", "arith.constant 2.500000e+01")
check(one("inkling_text", hidden_size=6144, intermediate_size=3072, dense_intermediate_size=24576,
          num_hidden_layers=66, n_routed_experts=256, num_experts_per_tok=6, n_shared_experts=2,
          dense_mlp_idx=2), 2, 64, (256, 3072, 6144), 6, "moe.routing.append", "!moe.routing<258 x 8>",
      "shared_up_proj: tensor<2x3072x6144xf32>", "experts 256 to 258")
check(one("muse_spark_text", hidden_size=8192, moe_intermediate_size=4096, num_hidden_layers=62,
          num_local_experts=256, num_experts_per_tok=8, moe_hidden_size=2048), 0, 62, (256, 4096, 2048), 8,
      "latent_down: tensor<2048x8192xf32>", "experts_norm: tensor<2048xf32>", "eps = 1.0e-15")
check(one("grok-1", hidden_size=6144, intermediate_size=32768, num_hidden_layers=64, num_local_experts=8,
          num_experts_per_tok=2), 0, 64, (8, 32768, 6144), 2, "#moe.gelu_tanh", "arith.constant 3.000000e+01")
check(one("jetmoe", hidden_size=2048, intermediate_size=5632, num_hidden_layers=24, num_local_experts=8,
          num_experts_per_tok=2), 0, 24, (8, 5632, 2048), 2, "output_bias: tensor<2048xf32>", "[#moe.softmax]")
check(one("aria_text", hidden_size=2560, intermediate_size=1664, num_hidden_layers=28, moe_num_experts=64,
          moe_topk=6, moe_num_shared_experts=2), 0, 28, (64, 1664, 2560), 6, "[#moe.softmax]",
      "shared_up_proj: tensor<3328x2560xf32>")
check(one("minimax_text_01", hidden_size=6144, intermediate_size=9216, num_hidden_layers=80,
          num_local_experts=32, num_experts_per_tok=2, shared_intermediate_size=0, shared_moe_mode="sigmoid"),
      0, 80, (32, 9216, 6144), 2, "[#moe.softmax]", without=["shared"])
check(one("flex_olmo", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_experts=7,
          num_experts_per_tok=5), 0, 32, (7, 11008, 4096), 5, "weigh(%probabilities) :")

# Lists have a number for each layer.
status, out, err = run("moe-import", "--layers=all", os.path.join(examples, "Hunyuan-A13B.json"))
with open(os.path.join(examples, "Hunyuan-A13B.json")) as file:
    lists = json.load(file)
lists.update(num_hidden_layers=2, num_experts=[16, 32], moe_topk=[2, 4])
check(lists, 0, 2, (32, 3072, 4096), 4, "!moe.routing<16 x 2>", "!moe.routing<32 x 4>",
      "tensor<16x3072x4096xf32>")

# What is not a layer here is refused, with a reason.
for keys, reason in (({"num_experts": None}, "it has no experts"), ({"enable_moe_block": False}, "it has no experts")):
    path = os.path.join(folder, "refused.json")
    with open(path, "w") as file:
        json.dump({**one("gemma4_text", num_experts=8, top_k_experts=2, moe_intermediate_size=8,
                         enable_moe_block=True), **keys}, file)
    status, out, err = run("moe-import", path)
    if status != 1 or reason not in err or err.count("\n") != 1:
        failures.append((keys, status, err))

for failure in failures:
    print(*failure, sep="\n")
sys.exit(bool(failures))
