# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %moe_src/test/Integration/gpu/Inputs/layer.mlir %t vulkan
"""The same as faults.py for kernels of Vulkan, whose subgroups may be narrower than a
team of 32: what goes well where they are wide is found where they are not."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from plant import WRONG, plant

BARRIER = r"\n[^\n]*moe_gpu\.barrier"
# Up to the second barrier of a kernel.
ONE = r"((?:(?:.|\n)*?moe_gpu\.barrier){1}(?:.|\n)*?)"
RACE = r"error: .*race: %s byte \d+ of shared memory, and nothing orders it behind a %s"
UNORDERED = r"error: .*(race: |nobody wrote)"
SHARED_STORE = r"llvm\.store [^\n]* i32, !llvm\.ptr<3>"
# Of an exchange: what is stored is behind a barrier, and what is loaded before one.
GIVE = r"(" + SHARED_STORE + r"(?:\n[^\n]*(?!barrier)[^\n]*){0,2}?)" + BARRIER
TAKE = r"(llvm\.load [^\n]*!llvm\.ptr<3> -> i32(?:\n[^\n]*){0,2}?)" + BARRIER

# Name, chip, kernel, pattern, replacement, how often (0: always), what is said.
FAULTS = [
    fault for width in (4, 8) for fault in [
        ("no barrier behind a step that was filled in", "vulkan-%d" % width, "gate_up",
         BARRIER, "", 1, UNORDERED),
        ("no barrier before a step is filled in", "vulkan-%d" % width, "gate_up",
         ONE + BARRIER, r"\1", 1, RACE % ("writes", "read")),
        ("no barrier behind a step of few rows", "vulkan-%d" % width, "down_few",
         BARRIER, "", 1, UNORDERED),
        ("no barrier before a step of few rows", "vulkan-%d" % width, "gate_up_few",
         ONE + BARRIER, r"\1", 1, RACE % ("writes", "read")),
        ("an exchange without a barrier before what is read", "vulkan-%d" % width, "index",
         GIVE, r"\1", 1, UNORDERED),
        ("exchanges without barriers before what is read", "vulkan-%d" % width, "index",
         GIVE, r"\1", 0, UNORDERED),
        ("exchanges without barriers behind what is read", "vulkan-%d" % width, "index",
         TAKE, r"\1", 0, UNORDERED),
        ("no barrier at all", "vulkan-%d" % width, "index", BARRIER, "", 0, UNORDERED)]
] + [
    # Within a subgroup nobody says that lanes are in step.
    ("no barrier in a block of one subgroup", "vulkan-32", "index", BARRIER, "", 0,
     r"error: .*race: reads byte \d+ of shared memory, which another lane of the warp "
     r"writes, without a moe_gpu.barrier between"),
    ("the same of a wide one", "vulkan-64", "index", BARRIER, "", 0,
     r"error: .*without a moe_gpu.barrier between"),
    ("exchanges behind the end of what is shared", "vulkan-8", "index",
     r"(llvm\.getelementptr %[\w#]+)\[8\]( : \(!llvm\.ptr<3>\))", r"\1[12]\2", 0,
     r"error: .*uses 4 bytes at byte 136 of shared memory, of which the block has 136"),
    ("an exchange with another lane", "vulkan-16", "index",
     r"arith\.xori (%[\w#]+), %c16_i32", r"arith.xori \1, %c8_i32", 0,
     r"error: .*(race: |differs|out of bounds)"),
    ("a barrier that some threads do not reach", "vulkan-8", "gate_up",
     r"\n([^\n]*)moe_gpu\.barrier", r"\n\1%odd = arith.cmpi ult, %c0_i32, %0 : i32\n"
     r"scf.if %odd {\n moe_gpu.barrier\n }", 1,
     r"error: .*(all threads of a block have to|no warp can go on|is executed by lanes)"),
    ("rows behind an expert's last", "vulkan-32", "gate_up_few",
     r"arith\.minsi (%[\w#]+), %[\w#]+", r"arith.addi \1, %c0_i32", 0,
     r"error: .*(out of bounds, at address|memory that nobody wrote|differs)"),
]

plant(FAULTS, *sys.argv[1:])
