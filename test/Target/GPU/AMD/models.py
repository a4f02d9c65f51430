# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %examples/models %t
"""Every model of the examples as GCN assembly: it needs no library, no kernel has
spilled registers, none but routers by a thread for a token, which keep their scores,
has memory of a thread's own, and matrix instructions are in the matmuls of bf16
alone, and in each of them."""
import glob
import os
import re
import subprocess
import sys

models, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)

# Where a router weighs rows before an expert, its first matmul multiplies in f32.
WEIGHED = ("Llama-4-",)


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)
    return result.returncode, result.stdout


def check(name, text):
    """What is wrong with the assembly of a model, as lines."""
    wrong = []
    for word in ("s_swappc", "s_setpc", "__ockl", "__ocml", "@gotpcrel"):
        if word in text:
            wrong.append("has '%s'" % word)
    for key, value in re.findall(r"\.([sv]gpr_spill_count): +(\d+)", text):
        if value != "0":
            wrong.append("%s is %s" % (key, value))
    for kernel, size in re.findall(
            r"\.amdhsa_kernel (\w+)\n(?:.*\n)*?"
            r".*\.amdhsa_private_segment_fixed_size (\d+)", text):
        if size != "0" and not kernel.endswith("_select"):
            wrong.append("%s has %s bytes of its own" % (kernel, size))
    kernels = re.findall(r"^(\w+):\n((?:.|\n)*?)\n\s*\.amdhsa_kernel \1\n", text,
                         re.MULTILINE)
    names = [kernel for kernel, _ in kernels]
    if not any("gate_up" in kernel or "_up" in kernel for kernel in names):
        wrong.append("has no matmul among " + " ".join(names))
    for kernel, body in kernels:
        products = len(re.findall(r"\bv_mfma_f32_32x32x8", body))
        matmul = re.search(r"_(gate_up|up|down)(_few)?(_\d+)?$", kernel)
        expects = matmul and not (matmul.group(1) != "down" and
                                  name.startswith(WEIGHED))
        if bool(products) != bool(expects) or products % 4:
            wrong.append("%s has %d matrix instructions" % (kernel, products))
    return wrong


failures, seen = [], 0
for path in sorted(glob.glob(os.path.join(models, "*.json"))):
    name = os.path.splitext(os.path.basename(path))[0]
    model = os.path.join(folder, "model.mlir")
    status, text = run("moe-import", "--weights-type=bf16", "--layers=first", path,
                       "-o", model)
    if not status:
        status, text = run("moe-compile", model, "--target=gfx942", "--emit=asm",
                           "-o", "-")
    seen += 1
    wrong = check(name, text) if status == 0 else [text[:500]]
    failures += ["%s: %s" % (name, line) for line in wrong]
print("%d models, %d failures" % (seen, len(failures)))
if failures or seen < 40:
    raise SystemExit("\n".join(failures))
