# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %moe_src/test/Integration/gpu/Inputs/layer.mlir %t
"""The same as faults.py for kernels of AMD's GPUs."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from plant import WRONG, plant

BARRIER = r"\n[^\n]*rocdl\.s\.barrier"
# Up to the second and to the third barrier of a kernel.
ONE, TWO = [r"((?:(?:.|\n)*?rocdl\.s\.barrier){%d}(?:.|\n)*?)" % n for n in (1, 2)]
UNORDERED = r"error: .*(race: |nobody wrote)"

# Name, chip, kernel, pattern, replacement, how often (0: always), what is said.
FAULTS = [
    ("no barrier behind the table", "gfx942", "gate_up", BARRIER, "", 1,
     UNORDERED),
    ("no barrier before a step is filled in", "gfx942", "gate_up",
     ONE + BARRIER, r"\1", 1, r"error: .*race: "),
    ("no barrier behind a step that was filled in", "gfx950", "gate_up",
     TWO + BARRIER, r"\1", 1, UNORDERED),
    ("no barrier before a step of few rows", "gfx942", "down_few",
     ONE + BARRIER, r"\1", 1, r"error: .*race: "),
    ("no release before barriers", "gfx942", "gate_up",
     r"\n[^\n]*llvm\.fence[^\n]* release", "", 0, UNORDERED),
    ("no acquire behind barriers", "gfx90a", "down",
     r"\n[^\n]*llvm\.fence[^\n]* acquire", "", 0, UNORDERED),
    ("operands of a product, exchanged", "gfx942", "gate_up",
     r"(rocdl\.mfma\S+ )(%\d+), (%\d+),", r"\1\3, \2,", 1, WRONG),
    ("operands of gfx950, exchanged", "gfx950", "down",
     r"(rocdl\.mfma\S+ )(%\d+), (%\d+),", r"\1\3, \2,", 1, WRONG),
    ("both halves of a wavefront at the same depth", "gfx942", "down",
     r"(= arith\.shrui %\d+, %c5_i32(?:.|\n)*?)arith\.muli %\d+, %c16_i32",
     r"\1arith.muli %c0_i32, %c16_i32", 1, WRONG),
    ("sums in the wrong registers", "gfx942", "gate_up_few",
     r"(llvm\.extractelement %[\w#]+)\[%c1_i32 ", r"\1[%c4_i32 ", 0, WRONG),
    ("votes of the other half", "gfx942", "index",
     r"(arith\.andi %\d+, )%c32_i32", r"\1%c0_i32", 0,
     r"error: .*(race: |differs|out of bounds)"),
    ("a sum over half of a team", "gfx942", "index",
     r"rocdl\.ds_swizzle (%\d+), %c16415_i32", r"rocdl.ds_swizzle \1, %c8223_i32",
     0, r"error: .*(race: |differs|out of bounds)"),
    ("rows behind an expert's last", "gfx942", "gate_up",
     r"arith\.minsi (%\d+), %\d+", r"arith.addi \1, %c0_i32", 0,
     r"error: .*(out of bounds, at address|memory that nobody wrote)"),
]

plant(FAULTS, *sys.argv[1:])
