# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %moe_src/test/Integration/gpu/Inputs/layer.mlir %t
"""Faults that are planted into compiled kernels: what goes wrong on a card at
times, and says nothing there, is an error each time, whatever the order. The
edits go by the names of instructions and by the kernel's name, so that they hold
when kernels change; one that finds nothing to change is a failure, too."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from plant import RACE, STUCK, WRONG, plant, removed

ANY = r"%[\w#-]+"

# Name, chip, kernel, pattern, replacement, how often (0: always), what is said.
FAULTS = [
    ("no wait for copies of threads", "sm_90a", "gate_up",
     r"cp\.async\.wait\.group 1\b", "cp.async.wait.group 8", 0,
     RACE % ("reads", "write", "nvvm.cp.async.shared.global")),
    ("no wait for the last products", "sm_90a", "gate_up",
     r"\n[^\n]*wgmma\.wait\.group\.sync\.aligned 0", "", 0,
     r"error: .*reads sums of a product that is in flight"),
    ("no wait for products before a stage is free", "sm_90a", "gate_up",
     r"\n[^\n]*wgmma\.wait\.group\.sync\.aligned 1", "", 0,
     RACE % ("writes", "read", "nvvm.wgmma.mma_async")),
    ("no fence between paths to shared memory", "sm_90a", "gate_up",
     *removed("nvvm.fence.proxy"), 0,
     r"error: .*reads byte \d+ of shared memory, which threads wrote, without a "
     r"fence.proxy.async between(.|\n)*note: 'nvvm.cp.async.shared.global'"),
    ("no fence behind the making of barriers", "sm_90a", "gate_up",
     *removed("nvvm.fence.mbarrier.init"), 0,
     r"error: .*arrives at a barrier that was made without a "
     r"fence.mbarrier.init"),
    ("no fence of registers", "sm_90a", "down",
     *removed("nvvm.wgmma.fence.aligned"), 0,
     r"error: .*no wgmma.fence orders it"),
    ("no barrier behind the table", "sm_90a", "gate_up",
     *removed("nvvm.barrier0"), 0,
     r"error: .*(race: |there is no barrier at byte|nobody wrote)"),
    ("who copies does not wait for a stage", "sm_90a", "gate_up",
     *removed("nvvm.mbarrier.try_wait.parity"), 1,
     r"error: .*(race: |once more in the same phase)"),
    ("who multiplies does not wait for a stage", "sm_90a", "down",
     r"(nvvm\.wgmma(?:.|\n)*?)\n[^\n]*nvvm\.mbarrier\.try_wait\.parity[^\n]*",
     r"\1", 0, r"error: .*(race: |nobody wrote|once more in the same phase)"),
    ("a stage is not given back", "sm_90a", "down",
     *removed("nvvm.mbarrier.arrive"), 0,
     STUCK % ("layer_down", "nvvm.mbarrier.try_wait.parity")),
    ("no bytes are expected", "sm_90a", "gate_up",
     *removed("nvvm.mbarrier.arrive.expect_tx"), 0,
     STUCK % ("layer_gate_up", "nvvm.mbarrier.try_wait.parity")),
    ("a barrier counts one arrival less", "sm_90a", "gate_up",
     r"(mbarrier\.init %s), %%c129_i32" % ANY, r"\1, %c128_i32", 0,
     r"error: .*(a phase of 128 arrivals is over before all lanes|"
     r"once more in the same phase)"),
    ("the kernel does not wait for those before", "sm_90a", "combine",
     *removed("nvvm.griddepcontrol"), 0,
     r"error: .*before the kernel has waited for those before it"),
    ("a swizzle that does not look at the row", "sm_90a", "gate_up",
     r"arith\.xori (%\d+), %\d+ : i32", r"arith.xori \1, %c1_i32 : i32", 1,
     WRONG),
    ("a swizzle that is none", "sm_90a", "gate_up",
     r"arith\.xori (%\d+), (%\d+) : i32", r"arith.ori \1, \2 : i32", 1,
     RACE % ("writes", "write", "nvvm.cp.async.shared.global")),
    ("the coordinates of boxes, exchanged", "sm_90a", "down",
     r"box\[(%s), (%s)\]" % (ANY, ANY), r"box[\2, \1]", 0, WRONG),
    ("a product that goes on at the wrong depth", "sm_90a", "down",
     r"(arith\.addi %\d+), %c2_i64", r"\1, %c4_i64", 0, WRONG),
    ("sums of products, in the wrong registers", "sm_90a", "gate_up",
     r"(%\d+ = llvm\.inline_asm(?:.|\n)*?)extractvalue (%\d+)\[1\]",
     r"\1extractvalue \2[2]", 1, WRONG),
    ("operands of products, in the wrong registers", "sm_80", "gate_up_few",
     r"A\[(%\d+), (%\d+),", r"A[\2, \1,", 0, WRONG),
    ("no barrier before sums are read", "sm_80", "gate_up_few",
     r"\n[^\n]*nvvm\.barrier0(?=(?:.|\n)*nvvm\.barrier0)", "", 0,
     r"error: .*(race: |nobody wrote)"),
    ("no barrier before sums are written again", "sm_80", "gate_up_few",
     r"((?:.|\n)*)\n[^\n]*nvvm\.barrier0[^\n]*", r"\1", 0,
     RACE % ("(?:reads|writes)", "(?:read|write)", "llvm.(?:load|store)")),
    ("rows behind an expert's last", "sm_80", "gate_up_few",
     r"arith\.minsi (%\d+), %\d+", r"arith.addi \1, %c0_i32", 0,
     r"error: .*(out of bounds, at address|memory that nobody wrote)"),
    ("stores behind the end", "sm_80", "combine",
     r"getelementptr (%\d+)\[16\]", r"getelementptr \1[1048576]", 0,
     r"error: kernel 'layer_combine', block \d+, thread \d+: 'llvm.store': "
     r"writes 16 bytes out of bounds, at address 0x[0-9a-f]+: byte \d+ of the "
     r"\d+ bytes of 'y'"),
    ("rows of slots without an expert", "sm_80", "combine",
     r"arith\.maxsi (%\d+), %c0_i32", r"arith.addi \1, %c0_i32", 0,
     r"error: kernel 'layer_combine', .*'llvm.load': reads 16 bytes out of bounds"),
    ("rows are read before the wait for their kernel", "sm_90a", "down_decode",
     *removed("nvvm.griddepcontrol  wait"), 0,
     r"error: .*(before the kernel has waited for those before it|"
     r"lets the next kernel begin before it has waited)"),
    ("the next kernel begins too soon", "sm_90a", "gate_up_decode",
     *removed("nvvm.griddepcontrol  wait"), 0,
     r"error: .*lets the next kernel begin before it has waited for those "
     r"before it"),
    ("no barrier before a token's sums are read", "sm_90a", "down_decode",
     *removed("nvvm.barrier0"), 0, r"error: .*(race: |nobody wrote)"),
    ("operands of a single row, in the wrong registers", "sm_80",
     "gate_up_decode", r"A\[(%\d+), (%\d+),", r"A[\2, \1,", 0, WRONG),
]

plant(FAULTS, *sys.argv[1:])
