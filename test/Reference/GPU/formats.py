# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %t
# RUN: %python %s %t vulkan
"""Experts whose weights are in formats, for both chips: every format, in gate and up
or in down, with few tokens and with more than a tile of them for each expert. Some
have rows of few blocks, which fewer warps share, or columns that fill no panel, or no
tile of warpgroups; one has routings that are made to be hard."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import CHIPS, FORMAT_BOUND, IS_VULKAN, Failures, compile_for, must, take_turns, write_tensors
from layers import EXPERTS, SLOTS, make_layer

folder, = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
# Of gate and up, of down; hidden, inner; tokens.
LAYERS = [("f16", "fp8"), ("fp8<rows = 1, columns = 0>", "fp8<exponents = true>"),
          ("q4_0", "q4_1"), ("q5_0", "q5_1"), ("q8_0", "q2_k"), ("q3_k", "q4_k"),
          ("q4_k", "q5_k"), ("q6_k", "iq4_nl"), ("iq4_xs", "mxfp4"),
          ("mxfp4_blocks", "nvfp4"), ("nvfp4", "tq1_0"), ("tq2_0", "iq2_xxs"),
          ("iq2_xs", "iq2_s"), ("iq3_xxs", "iq3_s"), ("int8", "int8"),
          ("int4<group = 64, scales = f16>",
           "int4<group = 128, scales = bf16, zeros = true>"),
          ("int4<group = 32, scales = bf16, order = pack_quantized>",
           "int4<group = 64, scales = f32, zeros = true>"),
          ("int4<group = 64, scales = f16, zeros = true, order = pack_quantized>",
           "int4<group = 128, scales = f16, zeros = true, order = awq>"),
          ("int4<group = 128, scales = f16, zeros = true, order = gptq>",
           "int4<group = 64, scales = f16, zeros = true, order = gptq_v2>"),
          ("int4<group = 64, scales = f16, zeros = true, order = hqq>", "q4_0")]
CASES = [(formats, (256, 256), (1, 130)) for formats in LAYERS] + [
    (("q4_k", "q4_0"), (768, 256), (5,)), (("q4_0", "int8"), (96, 160), (0, 5)),
    (("q8_0", "fp8"), (32, 32), (5,)), (("int8", "nvfp4"), (160, 320), (5,)),
    (("q4_0", "q8_0"), (192, 96), (130,)), (("mxfp4", "int8"), (64, 320), (70,))]


def make_routing(kind, tokens):
    generator = random.Random(tokens)
    choices = {"random": lambda: generator.sample(range(EXPERTS), SLOTS),
               "same": lambda: [2, 1], "one": lambda: [3, -1], "none": lambda: [-1, -1]}
    return ([e for _ in range(tokens) for e in choices[kind]()],
            [generator.uniform(0.1, 1) for _ in range(tokens * SLOTS)])


failures = Failures()


def check(formats, size, counts, kinds=("random",), orders=(2,)):
    model, stored, expected, given = [
        os.path.join(folder, name) for name in
        ("model.mlir", "stored.mlir", "expected.safetensors", "routing.safetensors")]
    with open(model, "w", encoding="utf-8") as file:
        file.write(make_layer(formats, *size))
    must("moe-opt", "--moe-store-weights", model, "-o", stored)
    for chip in CHIPS:
        compile_for(chip, stored, os.path.join(folder, chip + ".mlir"))
    for tokens in counts:
        for kind in kinds:
            experts, weights = make_routing(kind, tokens)
            write_tensors(given, {"routing.indices": ("I32", [tokens, SLOTS], experts),
                                  "routing.weights": ("F32", [tokens, SLOTS], weights)})
            arguments = ("--random=3", f"--tokens={tokens}", "--inputs=" + given)
            must("moe-interpret", stored, *arguments, "-o", expected)
            for chip in CHIPS if len(orders) > 1 else take_turns(CHIPS, failures.runs):
                for order in orders[:1] if IS_VULKAN else orders:
                    failures.compare(
                        f"{formats}, {size}, {chip}, {tokens} tokens, {kind}, order {order}",
                        chip, os.path.join(folder, chip + ".mlir"), expected, *arguments,
                        f"--order={order}", f"--multiprocessors={1 + order % 3}",
                        bound=FORMAT_BOUND)


for case in CASES:
    check(*case)
check(("q4_0", "q4_k"), (256, 256), (0, 1, 5) if IS_VULKAN else (0, 1, 5, 130), ("same", "one", "none"), (0, 1))
failures.finish()
