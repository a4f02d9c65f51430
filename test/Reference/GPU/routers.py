# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %examples/models %t
# RUN: %python %s %examples/models %t vulkan
"""Whole layers of models, made small: logits, selection and weights of their
routers, biases and clamps of gpt-oss' experts, experts that every token
takes, ordinary IR beside them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import BOUND, CHIPS, FORMAT_BOUND, IS_VULKAN, Failures, compile_for, must, take_turns

models, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)

# Softmax; of the chosen, with biases; with groups; sigmoid with a bias and
# groups and a shared expert; normalised. Then what a thread does for a token:
# policies that look at all tokens, or go step by step; a gated shared expert;
# and a capacity.
NAMES = ("OLMoE-1B-7B", "gpt-oss-20b", "DeepSeek-V2", "DeepSeek-V3",
         "Qwen3-30B-A3B", "NLLB-MoE-54B", "Phi-3.5-MoE", "Qwen1.5-MoE-A2.7B",
         "switch-base-8")
SMALL = {"hidden_size": 128, "d_model": 128, "intermediate_size": 192,
         "moe_intermediate_size": 192, "shared_expert_intermediate_size": 192,
         "encoder_ffn_dim": 192, "decoder_ffn_dim": 192, "d_ff": 192,
         "num_experts": 16, "n_routed_experts": 16, "num_local_experts": 16}

# Where rows are weighed before an expert, and where weights are f32, AMD's GPUs
# multiply without matrix instructions.
CASES = [(name, "bf16", CHIPS) for name in NAMES]
# Weights in a format with what an epilogue reads beside them.
if not IS_VULKAN:
    CASES += [("gpt-oss-20b", "mxfp4", ("sm_80", "sm_90a"))]
CASES += [("Llama-4-Scout-17B-16E", "bf16", CHIPS),
          ("OLMoE-1B-7B", "f32", CHIPS if IS_VULKAN else ("sm_90a", "gfx90a"))]

failures = Failures()
for name, weights, chips in CASES:
    with open(os.path.join(models, name + ".json")) as file:
        config = json.load(file)
    for part in (config, config.get("text_config", {})):
        part.update((key, value) for key, value in SMALL.items() if key in part)
    path = os.path.join(folder, name + "." + weights)
    with open(path + ".json", "w") as file:
        json.dump(config, file)
    must("moe-import", "--weights-type=" + weights, "--layers=3", path + ".json", "-o",
         path + ".mlir")
    bound = BOUND if weights in ("bf16", "f32") else FORMAT_BOUND
    for chip in chips:
        compile_for(chip, path + ".mlir", path + "." + chip + ".mlir")
    for tokens in (1, 70):
        arguments = ("--random=%d" % tokens, "--tokens=%d" % tokens)
        expected = path + ".safetensors"
        must("moe-interpret", path + ".mlir", *arguments, "-o", expected)
        for order, chip in enumerate(chips if tokens == 1 else take_turns(chips, len(name))):
            failures.compare("%s, %s, %s, %d tokens" % (name, weights, chip, tokens), chip,
                             path + "." + chip + ".mlir", expected, *arguments,
                             "--order=%d" % (order + tokens), bound=bound)
failures.finish()
