# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %moe_src/test/Integration/gpu/Inputs/layer.mlir %t
# RUN: %python %s %moe_src/test/Integration/gpu/Inputs/layer.mlir %t vulkan
"""The kernels of experts, lists and combine, for both chips, with routings that
are made to be hard: all tokens to the same experts, to one, to none, to experts
that are not there, and none at all. 130 tokens are 260 rows, for which sm_90a
takes products of warpgroups, with more than a tile for an expert. The same layer
with weights of f32, which are multiplied in f32, by rows as they are."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import CHIPS, IS_VULKAN, Failures, compile_for, must, write_tensors

layer, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
EXPERTS, SLOTS = 4, 2


def make_routing(kind, tokens):
    generator = random.Random(tokens * 7 + len(kind))
    choices = {
        "random": lambda: generator.sample(range(EXPERTS), SLOTS),
        "same": lambda: [2, 1],
        "one": lambda: [3, -1],
        "none": lambda: [-1, -1],
        "absent": lambda: [generator.choice([0, 99, EXPERTS, -7]), 3],
        "holes": lambda: [e if generator.random() < 0.6 else -1 for e in
                          generator.sample(range(EXPERTS), SLOTS)]}
    experts = [e for _ in range(tokens) for e in choices[kind]()]
    weights = [generator.uniform(0.1, 1) for _ in experts]
    return experts, weights


def write_routing(path, tokens, experts, weights):
    write_tensors(path, {
        "routing.indices": ("I32", [tokens, SLOTS], experts),
        "routing.weights": ("F32", [tokens, SLOTS], weights)})


kernels = {chip: os.path.join(folder, chip + ".mlir") for chip in CHIPS}
for chip in CHIPS:
    compile_for(chip, layer, kernels[chip])

# Sums of up to 256 products of f32, of which each addition rounds by 2^-24 of a
# partial sum: a hundredth of what one operand in bf16 would do.
EXACT = 1e-5
wide = {}
for kind in () if IS_VULKAN else ("f32",):
    wide[kind] = os.path.join(folder, kind + ".mlir")
    with open(layer, encoding="utf-8") as source, \
            open(wide[kind], "w", encoding="utf-8") as file:
        file.write(source.read().replace("bf16", kind))
    for chip in CHIPS:
        kernels[kind, chip] = os.path.join(folder, chip + "." + kind + ".mlir")
        compile_for(chip, wide[kind], kernels[kind, chip])

failures = Failures()
given, valid, expected = [os.path.join(folder, name + ".safetensors")
                          for name in ("given", "valid", "expected")]
for tokens in (0, 1, 5, 130):
    arguments = ("--random=3", "--tokens=%d" % tokens)
    for kind in ("random", "same", "one", "none", "absent", "holes"):
        experts, weights = make_routing(kind, tokens)
        write_routing(given, tokens, experts, weights)
        # The model takes no expert that is not there; kernels take it for none.
        isThere = [0 <= e < EXPERTS for e in experts]
        write_routing(valid, tokens,
                      [e if is_ else -1 for e, is_ in zip(experts, isThere)],
                      [w if is_ else 0 for w, is_ in zip(weights, isThere)])
        must("moe-interpret", layer, *arguments, "--inputs=" + valid, "-o",
             expected)
        # All orders once, and each at some size.
        orders = (0, 1, 2, 5) if (tokens, kind) in ((130, "random"),
                                                    (5, "random")) else (2,)
        for chip in CHIPS:
            # Their hosts know of tokens what those of others do.
            if IS_VULKAN and tokens == 130 and kind not in ("random", "holes"):
                continue
            for order in orders:
                failures.compare(
                    "%s, %d tokens, %s, order %d" % (chip, tokens, kind, order),
                    chip, kernels[chip], expected, *arguments, "--inputs=" + given,
                    "--order=%d" % order,
                    "--multiprocessors=%d" % (1 + 2 * (order % 2)))
        if kind not in ("random", "same", "absent"):
            continue
        for weights_kind, model in wide.items():
            must("moe-interpret", model, *arguments, "--inputs=" + valid, "-o",
                 expected)
            for chip in CHIPS:
                failures.compare(
                    "%s, weights of %s, %d tokens, %s" % (chip, weights_kind, tokens, kind),
                    chip, kernels[weights_kind, chip], expected, *arguments,
                    "--inputs=" + given, "--order=%d" % (tokens % 3), bound=EXACT)
failures.finish()
