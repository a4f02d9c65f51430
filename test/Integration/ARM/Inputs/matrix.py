"""Runs layers compiled for AArch64 on emulated CPUs of all kinds.

usage: matrix.py LAYER...

The layers are those of ../CPU/Inputs/layers.py. Each becomes an artifact with
all variants; which of them runs is the CPU's matter. bf16 weights become two:
CPUs with bfmmla have panels of their own. Every result is compared with the
interpreter, and has to have the bits that x86-64 gives, or, with bfmmla, those
of every other CPU that has it.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "CPU", "Inputs"))
import layers

# The variant that each CPU takes comes first.
WIDENING = [
    ("neon", "cortex-a53"),
    ("neon", "cortex-a72"),
    ("dotprod", "cortex-a76"),
    ("dotprod", "neoverse-n1"),
    ("sve", "a64fx"),
]
MULTIPLYING = [
    ("mmla", "max,sve=off"),
    ("sve2", "max,sve128=on,sve256=off,sve512=off"),
    ("sve2", "max,sve256=on,sve512=off"),
    ("sve2", "max,sve512=on"),
]
# Targets of an artifact, the CPUs that run it, and whether x86-64 has its bits.
F32 = [("aarch64*", WIDENING + MULTIPLYING, True)]
BF16 = [("aarch64,aarch64+dotprod+fp16,aarch64+sve", WIDENING, True), ("aarch64+i8mm+bf16,aarch64+sve2", MULTIPLYING, False)]

# All CPUs see a few tokens; beyond one tile of rows, one of each kind does.
EVERYWHERE = 7
ONCE_EACH = [33]
FIRST_ONLY = [0, 1, 130]


def special(width):
    """Rows of what numbers there are besides ordinary ones."""
    values = [0.0, -0.0, 1e-40, -1e-45, 3e38, -3e38, np.inf, -np.inf, np.nan]
    rows = np.tile(np.linspace(-1, 1, width, dtype=np.float32), (2 * len(values), 1))
    for i, value in enumerate(values):
        rows[2 * i] = value
        rows[2 * i + 1, i] = value
    return rows


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
    subprocess.run(["moe-compile", model, "-o", at("x86"), "--target=x86-64-v3"], check=True)

    def bits(*arguments):
        run(*arguments, "--random=7", "--threads=2", f"--output={output}")
        result = np.load(output)
        # CPUs give NaN different signs and payloads.
        return np.where(np.isnan(result), np.float32(np.nan), result).view(np.uint32)

    for targets, cpus, isX86 in F32 if layers.LAYERS[name][4] == "f32" else BF16:
        subprocess.run(["moe-compile", model, "-o", at("arm"), f"--target={targets}", "--emit=lib,manifest"], check=True)
        seen = {}
        for index, (variant, cpu) in enumerate(cpus):
            isFirst = variant not in [v for v, _ in cpus[:index]]
            for tokens in [EVERYWHERE] + ONCE_EACH * isFirst + FIRST_ONLY * (index == 0):
                if isX86 and tokens not in seen:
                    seen[tokens] = bits(at("x86.json"), f"--tokens={tokens}")
                verify = [f"--model={model}", "--verify"] if tokens else []
                got = bits(at("arm.json"), f"--emulator=qemu-aarch64 -cpu {cpu}", *verify, f"--tokens={tokens}")
                if not np.array_equal(seen.setdefault(tokens, got), got):
                    sys.exit(f"{name}: {cpu} gives other bits for {tokens} tokens")
        if isX86:
            np.save(at("x.npy"), special(layers.LAYERS[name][2]))
            inputs = "--inputs=" + at("x.npy")
            for cpu in (cpus[0][1], cpus[-1][1]):
                if not np.array_equal(bits(at("x86.json"), inputs), bits(at("arm.json"), inputs, f"--emulator=qemu-aarch64 -cpu {cpu}")):
                    sys.exit(f"{name}: {cpu} gives other bits for special values")
    print(f"{name}: ok")


for name in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as folder:
        check(name, folder)
