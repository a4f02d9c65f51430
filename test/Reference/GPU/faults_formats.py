# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %t
"""The faults of faults.py that only kernels with weights in a format can have: stages
that threads decode."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import must
from layers import make_layer
from plant import RACE, STUCK, WRONG, plant, removed

folder, = sys.argv[1:]

# See faults.py.
FAULTS = [
    ("no fence behind what was decoded", "sm_90a", "down",
     *removed("nvvm.fence.proxy"), 0,
     r"error: .*reads byte \d+ of shared memory, which threads wrote, without a "
     r"fence.proxy.async between"),
    ("no arrival of what was decoded", "sm_90a", "gate_up",
     *removed("nvvm.mbarrier.arrive"), 1,
     STUCK % ("layer_gate_up", "nvvm.mbarrier.try_wait.parity")),
    ("the last stage is not handed on", "sm_90a", "down",
     r"(cp\.async\.wait\.group 0(?:.|\n){0,2000}?)\n[^\n]*nvvm\.mbarrier\.arrive[^\n]*",
     r"\1", 1, STUCK % ("layer_down", "nvvm.mbarrier.try_wait.parity")),
    ("who decodes does not wait for a stage", "sm_90a", "gate_up",
     *removed("nvvm.mbarrier.try_wait.parity"), 1,
     r"error: .*(race: |once more in the same phase)"),
    ("a stage counts the arrivals of one thread less", "sm_90a", "gate_up",
     r"(mbarrier\.init %[\w#-]+), %c128_i32", r"\1, %c127_i32", 0,
     r"error: .*(a phase of 127 arrivals is over before all lanes|"
     r"once more in the same phase)"),
    ("the scale of another block", "sm_90a", "gate_up",
     r"(%\d+ = llvm\.getelementptr %\d+)\[576\]", r"\1[0]", 0, WRONG),
    ("the scale of another column", "sm_90a", "down",
     r"(arith\.andi %\d+), %c-4_i32", r"\1, %c0_i32", 0, WRONG),
    ("a chunk in the place of another", "sm_90a", "gate_up",
     r"(arith\.xori %\d+), %c32_i32", r"\1, %c48_i32", 1, r"error: .*(race: |nobody wrote)"),
    ("no wait for rows", "sm_90a", "gate_up",
     r"cp\.async\.wait\.group 1\b", "cp.async.wait.group 8", 0,
     RACE % ("reads", "write", "nvvm.cp.async.shared.global")),
    ("a code twice", "sm_90a", "gate_up",
     r"prmt <default> %c29761_i32", "prmt <default> %c29760_i32", 0, WRONG),
]

os.makedirs(folder, exist_ok=True)
layer, stored = [os.path.join(folder, name) for name in ("layer.mlir", "stored.mlir")]
with open(layer, "w", encoding="utf-8") as file:
    file.write(make_layer(("q4_0", "q4_0"), 256, 256))
must("moe-opt", "--moe-store-weights", layer, "-o", stored)
plant(FAULTS, stored, folder)
