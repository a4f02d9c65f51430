# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: python-numpy
# RUN: %python %s %t
"""The faults of faults.py that only products in 8 bits can have: words that are copied one by
one, and scales."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from e4m3 import Matrix, run, write
from kernels import must
from layers import EXPERTS, SLOTS, make_layer
from plant import RACE, STUCK, WRONG, plant, removed

folder, = sys.argv[1:]
ANY = r"%[\w#-]+"

# See faults.py.
FAULTS = [
    ("no wait for words", "sm_90a", "gate_up",
     r"cp\.async\.wait\.group 2\b", "cp.async.wait.group 8", 0,
     RACE % ("reads", "write", "nvvm.cp.async.shared.global")),
    ("a wait for a stage too few", "sm_90a", "down",
     r"cp\.async\.wait\.group 2\b", "cp.async.wait.group 3", 0,
     RACE % ("reads", "write", "nvvm.cp.async.shared.global")),
    ("no wait for products", "sm_90a", "gate_up",
     *removed("nvvm.wgmma.wait.group.sync.aligned"), 1,
     r"error: .*reads sums of a product that is in flight"),
    ("no fence of registers before the second half", "sm_90a", "down",
     r"(nvvm\.wgmma\.fence\.aligned(?:.|\n)*?)\n[^\n]*nvvm\.wgmma\.fence\.aligned",
     r"\1", 0, r"error: .*no wgmma.fence orders it"),
    ("no fence between paths to shared memory", "sm_90a", "gate_up",
     *removed("nvvm.fence.proxy"), 0,
     r"error: .*reads byte \d+ of shared memory, which threads wrote, without a "
     r"fence.proxy.async between"),
    ("who copies does not wait for a stage", "sm_90a", "gate_up",
     *removed("nvvm.mbarrier.try_wait.parity"), 1,
     r"error: .*(race: |once more in the same phase)"),
    ("a warp less than all frees a stage", "sm_90a", "gate_up",
     r"(mbarrier\.init %s), %%c8_i32" % ANY, r"\1, %c7_i32", 0,
     r"error: .*(race: |once more in the same phase|is over before all)"),
    ("one warp of each group alone frees a stage", "sm_90a", "down",
     r"mbarrier\.init (%s), %%c8_i32((?:.|\n)*increase \d+\n[^\n]*\n[^\n]*) = arith.cmpi eq, %s, %%c0_i32" % (ANY, ANY),
     r"mbarrier.init \1, %c8_i32\2 = arith.cmpi eq, %5, %c128_i32", 1,
     STUCK % ("layer_down", "nvvm.mbarrier.try_wait.parity")),
    ("the last stage but one is not handed on", "sm_90a", "down",
     r"(cp\.async\.wait\.group 0(?:.|\n){0,1000}?)\n[^\n]*nvvm\.mbarrier\.arrive[^\n]*",
     r"\1", 1, STUCK % ("layer_down", "nvvm.mbarrier.try_wait.parity")),
    ("a word in the place of another", "sm_90a", "gate_up",
     r"arith\.xori (%s), %%c3_i32" % ANY, r"arith.xori \1, %c2_i32", 1,
     r"error: .*(race: |nobody wrote)"),
    ("words of a chunk, the other way round", "sm_90a", "down",
     r"arith\.shli (%s), %%c2_i32((?:.|\n)*?arith\.muli) \1, %%c128_i32" % ANY,
     r"arith.shli \1, %c2_i32\2 %c0_i32, %c128_i32", 1, WRONG),
    ("a chunk in the place of another", "sm_90a", "gate_up",
     r"(arith\.xori %s), %%c32_i32" % ANY, r"\1, %c48_i32", 1, r"error: .*(race: |nobody wrote)"),
    ("a swizzle that does not look at the row", "sm_90a", "gate_up",
     r"arith\.xori (%\d+), %\d+ : i32", r"arith.xori \1, %c1_i32 : i32", 1, WRONG),
    ("the scales of a row's first group for all", "sm_90a", "gate_up",
     r"(mbarrier\.try_wait\.parity[^\n]*\n *%\d+ = arith\.muli) %arg\d+, %c4_i32", r"\1 %c0_i32, %c4_i32", 1, WRONG),
    ("the scales of a column's first group for all", "sm_90a", "gate_up",
     r"(arith\.cmpi slt, %5, %c64_i32(?:.|\n)*?arith\.muli) %arg\d+, %c4224_i32",
     r"\1 %c0_i32, %c4224_i32", 1, WRONG),
    ("the scale of the upper row for both", "sm_90a", "down",
     r"(%\d+ = llvm\.getelementptr %\d+)\[32\]", r"\1[0]", 1, WRONG),
    ("the scale of the column beside", "sm_90a", "down",
     r"(%\d+ = llvm\.getelementptr %\d+)\[516\]", r"\1[512]", 0, WRONG),
    ("scales are not multiplied", "sm_90a", "gate_up",
     r"llvm\.intr\.fma\((%\d+), %\d+,", r"llvm.intr.fma(\1, %cst,", 1, WRONG),
    ("a product that goes on at the wrong depth", "sm_90a", "down",
     r"(arith\.addi %\d+), %c2_i64", r"\1, %c4_i64", 0, WRONG),
    ("a product of the wrong half of columns", "sm_90a", "gate_up",
     r"\[16384\]", "[0]", 0, WRONG),
    ("the largest of a lane's own values", "sm_90a", "gate_up_rows",
     r"nvvm\.redux\.sync +max (%\d+), [^\n]*", r"arith.addi \1, %c0_i32 : i32", 0, WRONG),
    ("magnitudes with their signs", "sm_90a", "down_rows",
     r"arith\.andi (%\d+), %c2147483647_i32", r"arith.addi \1, %c0_i32", 0, WRONG),
    ("values that change places", "sm_90a", "down_rows",
     r"convert\.f32x2\.to\.f8x2 (%\d+), (%\d+)", r"convert.f32x2.to.f8x2 \2, \1", 1, WRONG),
    ("a scale that is none", "sm_90a", "gate_up_rows",
     r"llvm\.fdiv %\d+, %cst", "llvm.fdiv %cst, %cst", 1, WRONG),
    ("rows are read before the wait for their kernel", "sm_90a", "down_rows",
     *removed("nvvm.griddepcontrol"), 0,
     r"error: .*before the kernel has waited for those before it"),
]


def make_inputs(layer, folder, tokens, experts):
    """As that of plant, of what E4M3 makes of rows whose groups are of different sizes."""
    random = np.random.default_rng(tokens)
    gate, up, down = (Matrix(random, EXPERTS, 256, 256, rows=rows, columns=columns)
                      for rows, columns in ((128, 128), (128, 128), (1, 0)))
    x = random.standard_normal((tokens, 2, 128)) * 2.0 ** random.integers(-3, 3, (tokens, 2, 1))
    x = x.reshape(tokens, 256).astype(np.float32)
    experts = np.array(experts).reshape(tokens, SLOTS)
    weights = np.where(experts < 0, 0, [0.25, 0.75]).astype(np.float32)
    given, expected = [os.path.join(folder, "%s%d.safetensors" % (name, tokens)) for name in ("given", "expected")]
    write(given, {"x": ("F32", x), "routing.indices": ("I32", experts), "routing.weights": ("F32", weights),
                  **gate.stored("gate"), **up.stored("up"), **down.stored("down")})
    write(expected, {"y": ("F32", run(x, experts, weights, gate, up, down))})
    return "--tokens=%d" % tokens, "--multiprocessors=1", "--inputs=" + given, "--expect=" + expected


os.makedirs(folder, exist_ok=True)
layer, stored = [os.path.join(folder, name) for name in ("layer.mlir", "stored.mlir")]
with open(layer, "w", encoding="utf-8") as file:
    file.write(make_layer(("fp8", "fp8<rows = 1, columns = 0>"), 256, 256))
must("moe-opt", "--moe-store-weights", layer, "-o", stored)
plant(FAULTS, stored, folder, ("--activations=e4m3",), make_inputs, bound=0.05)
