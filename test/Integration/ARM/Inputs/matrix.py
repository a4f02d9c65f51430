"""Runs layers compiled for AArch64 on emulated CPUs of all kinds.

usage: matrix.py LAYER...

The layers are those of ../CPU/Inputs/layers.py. Each becomes one artifact with
all variants; which of them runs is the CPU's matter. Every result is compared
with the interpreter; f32 results have to have the bits that x86-64 gives, and
bf16 results those of every other CPU that takes the same variant.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "CPU", "Inputs"))
import layers

# The variant that each CPU takes comes first.
CPUS = [
    ("neon", "cortex-a53"),
    ("neon", "cortex-a72"),
    ("dotprod", "cortex-a76"),
    ("dotprod", "neoverse-n1"),
    ("mmla", "max,sve=off"),
    ("sve", "a64fx"),
    ("sve2", "max,sve128=on,sve256=off,sve512=off"),
    ("sve2", "max,sve256=on,sve512=off"),
    ("sve2", "max,sve512=on"),
]
# All CPUs see a few tokens; beyond one tile of rows, one of each kind does.
EVERYWHERE = 7
ONCE_EACH = [1, 33]
FIRST_ONLY = [0, 130]


def run(*arguments):
    result = subprocess.run(["moe-run", *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"moe-run {' '.join(arguments)}\n{result.stdout}{result.stderr}")
    return result.stdout


def check(name, folder):
    at = lambda file: os.path.join(folder, file)
    model, output = at("layer.mlir"), at("y.npy")
    with open(model, "w") as out:
        out.write(layers.layer(name))
    subprocess.run(["moe-compile", model, "-o", at("arm"), "--target=aarch64*", "--emit=lib,manifest"], check=True)
    subprocess.run(["moe-compile", model, "-o", at("x86"), "--target=x86-64-v3"], check=True)
    exact = layers.LAYERS[name][4] == "f32"

    def bits(*arguments):
        run(*arguments, "--random=7", "--threads=2", f"--output={output}")
        return np.load(output).view(np.uint32)

    seen = {}
    for index, (variant, cpu) in enumerate(CPUS):
        isFirst = variant not in [v for v, _ in CPUS[:index]]
        for tokens in [EVERYWHERE] + ONCE_EACH * isFirst + FIRST_ONLY * (index == 0):
            if exact and tokens not in seen:
                seen[tokens] = bits(at("x86.json"), f"--tokens={tokens}")
            got = bits(at("arm.json"), f"--emulator=qemu-aarch64 -cpu {cpu}", f"--model={model}", "--verify", f"--tokens={tokens}")
            key = tokens if exact else (variant, tokens)
            if not np.array_equal(seen.setdefault(key, got), got):
                sys.exit(f"{name}: {cpu} gives other bits for {tokens} tokens")
    print(f"{name}: ok")


for name in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as folder:
        check(name, folder)
