"""Damaged model configurations through moe-import.

usage: fuzz_configurations.py [--seed=S] [--runs=N] [--seconds=T] [--keep=DIR]

A run takes one file of examples/models, changes some of its keys and values, or
its text, and imports it with random options. What has to hold: either one line
of error and nothing else, or notes and IR that parses, verifies and survives a
round trip. Nothing may end in a signal, take over a minute, or say that it is a
bug.

Run i of a seed S has the random numbers of S and i alone. A failure prints the
command, and keeps the file in DIR.
"""

import argparse
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import time

VALUES = [None, True, False, 0, 1, 2, 3, 7, 8, 16, 64, 4096, 1 << 20, (1 << 20) + 1, 1 << 31, 1 << 62, 1 << 64, -1,
          -(1 << 63), 0.0, -0.0, 0.5, 1.5, 1e-46, 1e-320, 1e38, 1e300, float("nan"), float("inf"), -float("inf"), "",
          "silu", "gelu", "relu2", "softmax", "sigmoid", "greedy", "group_limited_greedy", "noaux_tc", "all", "random",
          "gated-gelu", "x" * 300, "*/ \" \\ \n \x1b[31m \u00e9", [], [0], [1, 3], [-5, 1 << 62], ["1"], [[0]], {},
          {"name": "gelu"}, {"name": "gelu", "approximate": "tanh"}, {"1": {"num_local_experts": 2}}, {"1": 5}]
KEYS = ["num_experts", "num_local_experts", "n_routed_experts", "num_experts_per_tok", "experts_per_token",
        "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers", "hidden_act", "n_group",
        "topk_group", "topk_method", "scoring_func", "norm_topk_prob", "routed_scaling_factor", "n_shared_experts",
        "first_k_dense_replace", "moe_layer_freq", "mlp_only_layers", "decoder_sparse_step", "moe_layers",
        "interleave_moe_layer_step", "shared_expert_intermediate_size", "shared_intermediate_size", "mlp_bias",
        "swiglu_limit", "swiglu_alpha", "router_jitter_noise", "expert_layer_period", "expert_layer_offset",
        "expert_capacity", "moe_token_dropout", "moe_eval_capacity_token_fraction", "encoder_sparse_step",
        "num_sparse_encoder_layers", "num_decoder_layers", "feed_forward_proj", "is_gated_act", "router_bias",
        "normalize_router_prob_before_dropping", "zero_expert_num", "moe_latent_size", "use_expert_bias",
        "quantization_config", "per_layer_config", "ffn_config", "ffn_act_fn", "moe_normalize_expert_weights",
        "text_config", "thinker_config", "model_type", "rope_theta", "zebra", "", "a\n\x1b\"*/"]
TYPES = ["mixtral", "qwen2_moe", "deepseek_v2", "llama4", "kimi_k25", "nllb-moe", "dbrx", "jamba", ""]


def levels(config):
    """The objects of a configuration, itself first."""
    found = [config]
    for value in config.values():
        if isinstance(value, dict):
            found += levels(value)
    return found


def mutate(draw, config):
    level = draw.choice(levels(config))
    kind = draw.randrange(7)
    if kind <= 1 and level:
        level[draw.choice(list(level))] = draw.choice(VALUES)
    elif kind == 2 and level:
        del level[draw.choice(list(level))]
    elif kind == 3:
        level[draw.choice(KEYS)] = draw.choice(VALUES)
    elif kind == 4 and len(level) > 1:
        one, other = draw.sample(list(level), 2)
        level[one], level[other] = level[other], level[one]
    elif kind == 5 and draw.randrange(3) == 0:
        level["model_type"] = draw.choice(TYPES)
    elif kind == 6 and draw.randrange(3) == 0:
        inner = dict(config)
        config.clear()
        config.update({"model_type": draw.choice(TYPES), draw.choice(["text_config", "thinker_config"]): inner})


def damage(draw, text):
    at = draw.randrange(len(text))
    return draw.choice([text[:at], text[:at] + draw.choice("{}[]\",:0-\\\x00") + text[at + 1:],
                        text[:at] + draw.choice(["NaN", "Infinity", "1e999", "null", "//", "\ufeff"]) + text[at:]])


def make_case(draw, files):
    with open(draw.choice(files)) as file:
        config = json.load(file)
    # Small numbers make what depends on several of them meet.
    if draw.randrange(2):
        for level in levels(config):
            for key, value in level.items():
                if type(value) is int and value > 16:
                    level[key] = draw.choice([4, 8, 12, 16])
    for _ in range(draw.randrange(4)):
        mutate(draw, config)
    text = json.dumps(config)
    if draw.randrange(10) == 0:
        text = damage(draw, text)
    options = []
    if draw.randrange(3) == 0:
        options.append("--experts=" + str(draw.choice([1, 2, 3, 4, 6, 8, 16, 1 << 40])))
    if draw.randrange(4) == 0:
        options.append("--layers=" + draw.choice(["all", "0", "1", "3", "0-3", "5-4", "99999999999999999999", "-"]))
    if draw.randrange(4) == 0:
        options.append("--tokens=" + str(draw.choice([1, 5, 1 << 31, (1 << 31) - 1, 1 << 62])))
    if draw.randrange(3) == 0:
        options.append("--ignore-quantization")
    return text, options


def judge(done):
    """What is wrong with a run, or nothing."""
    out, err = done.stdout, done.stderr.decode(errors="replace")
    lines = err.splitlines()
    if done.returncode not in (0, 1):
        return f"exit status {done.returncode}"
    if "bug" in err.replace("debug", ""):
        return "says that it is a bug"
    if not err.isprintable() and any(not line.isprintable() for line in lines):
        return "prints what is not printable"
    if any(len(line) > 2000 for line in lines):
        return "prints a long line"
    if done.returncode == 1:
        if out or len(lines) != 1 or not lines[0].startswith("moe-import: error: "):
            return "fails with more or less than one line of error"
        return ""
    if any(not line.startswith("moe-import: note: ") for line in lines):
        return "succeeds with more than notes"
    return "" if b"func.func @layer_" in out else "succeeds without a layer"


def check_modules(modules, keep):
    """What is wrong with these modules, checked in one process, or nothing. The
    layers of a file are copies: long ones are left out."""
    text = "\n// -----\n".join(module for module in modules if len(module) < 100000)
    done = subprocess.run(["moe-opt", "--split-input-file", "--verify-roundtrip", "-o", os.devnull],
                          input=text.encode(), stderr=subprocess.PIPE)
    if not done.returncode:
        return ""
    path = os.path.join(keep, "modules.mlir")
    with open(path, "w") as file:
        file.write(text)
    return f"moe-opt --split-input-file --verify-roundtrip {path}\n{done.stderr.decode()[:2000]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--keep", default="")
    arguments = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    files = sorted(glob.glob(os.path.join(here, "../../examples/models/*.json")))
    keep = arguments.keep or tempfile.mkdtemp()
    os.makedirs(keep, exist_ok=True)
    path = os.path.join(keep, "case.json")
    failures, runs, imported, modules = 0, 0, 0, []
    end = time.monotonic() + arguments.seconds
    more = True
    while more:
        text, options = make_case(random.Random(f"{arguments.seed}/{runs}"), files)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        command = ["moe-import", *options, path]
        try:
            problem = judge(done := subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60))
        except subprocess.TimeoutExpired:
            problem = "takes over a minute"
        if problem:
            failures += 1
            kept = os.path.join(keep, f"seed{arguments.seed}-run{runs}.json")
            os.replace(path, kept)
            print(f"FAILED: {problem}: {' '.join([*command[:-1], kept])}")
        elif done.returncode == 0:
            imported += 1
            modules.append(done.stdout.decode())
        runs += 1
        more = runs < arguments.runs and not (arguments.seconds and time.monotonic() > end)
        if modules and (len(modules) == 200 or not more):
            if problem := check_modules(modules, keep):
                failures += 1
                print(f"FAILED: {problem}")
            modules = []
    if os.path.exists(path):
        os.remove(path)
    print(f"seed {arguments.seed}: {runs} configurations, {imported} imported, {failures} failures")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
