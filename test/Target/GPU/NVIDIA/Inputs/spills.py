#===- spills.py - Kernels of all models need no memory of their own -------===#
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#===----------------------------------------------------------------------===#
"""spills.py OUTPUT MODELS TARGET [ptxas]

Compiles a layer of each kind of every configuration in MODELS for TARGET, and
says of which kernels threads keep something in memory of their own: PTX that
loads or stores there and, with the assembler, registers that it spills. Models
that have no kernels there are named."""

import os
import re
import subprocess
import sys

output, models, target = sys.argv[1:4]
ptxas = sys.argv[4:]
os.makedirs(output, exist_ok=True)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


compiled = kernels = 0
for name in sorted(os.listdir(models)):
    model, extension = os.path.splitext(name)
    if extension != ".json":
        continue
    base = os.path.join(output, model)
    imported = run("moe-import", "--layers=first", "--weights-type=bf16",
                   os.path.join(models, name), "-o", base + ".mlir")
    if imported.returncode:
        sys.exit("%s: %s" % (model, imported.stderr))
    result = run("moe-compile", base + ".mlir", "--target=" + target, "--emit=asm",
                 "-o", base + ".ptx")
    if result.returncode:
        reason = [line for line in result.stderr.splitlines() if "error:" in line]
        print("%s: not compiled: %s" % (model, reason[0].split("error: ")[-1]))
        continue
    compiled += 1
    ptx = open(base + ".ptx").read()
    names = re.findall(r"\.entry (\w+)\(", ptx)
    kernels += len(names)
    for kernel, body in zip(names, ptx.split(".entry ")[1:]):
        accesses = len(re.findall(r"\b(?:ld|st)\.local", body))
        if accesses:
            print("%s: %s: %d loads and stores of arrays" % (model, kernel, accesses))
    if not ptxas:
        continue
    assembled = run(ptxas[0], "-v", "-arch=" + target, base + ".ptx", "-o", base + ".cubin")
    if assembled.returncode:
        sys.exit("%s: %s" % (model, assembled.stderr))
    spills = re.findall(r"properties for (\w+)\n.* (\d+) bytes spill stores, (\d+) bytes",
                        assembled.stderr + assembled.stdout)
    if sorted(spill[0] for spill in spills) != sorted(names):
        sys.exit("%s: the assembler speaks of other kernels" % model)
    for kernel, stores, loads in spills:
        if int(stores) or int(loads):
            print("%s: %s: %s bytes of spills" % (model, kernel, stores))
if not compiled:
    sys.exit("no model was compiled")
print("%d kernels of %d models for %s" % (kernels, compiled, target))
