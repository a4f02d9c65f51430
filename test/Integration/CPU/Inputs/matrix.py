"""Runs layers.py's layers on many token counts and compares with the interpreter.

usage: matrix.py TARGET LAYER...

Then checks that the results have the same bits for any number of tokens (one
by one or together) and of threads. Layers for vulkan run on its first device.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
import layers

# Around every register tile (6, 12, 14) and its multiples, and past the rows
# that park their accumulators at once.
TOKENS = [0, 1, 2, 5, 7, 13, 15, 29, 64, 300]
device = ["--device=vulkan"] if sys.argv[1] == "vulkan" else []
if device:
    # One tile and more of either size.
    TOKENS = [0, 1, 13, 150]


def run(*arguments):
    result = subprocess.run(["moe-run", *arguments], capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"moe-run {' '.join(arguments)}\n{result.stdout}{result.stderr}")
    return result.stdout


def check(name, target, folder):
    model = os.path.join(folder, "layer.mlir")
    with open(model, "w") as out:
        out.write(layers.layer(name))
    base = os.path.join(folder, "layer")
    subprocess.run(["moe-compile", model, "-o", base, f"--target={target}"], check=True)
    artifact = base + ".json"
    for tokens in TOKENS:
        verify = ["--verify"] if tokens else []
        run(artifact, f"--model={model}", "--random=7", f"--tokens={tokens}", *verify, *device)

    # The same 64 rows together, on one thread, and one by one.
    h = layers.LAYERS[name][2]
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (64, h)).astype(np.float32)
    x[17] = x[3]  # equal rows give equal bits
    x_file, y_file = os.path.join(folder, "x.npy"), os.path.join(folder, "y.npy")

    def compute(rows, threads):
        np.save(x_file, rows)
        where = device or [f"--threads={threads}"]
        run(artifact, "--random=7", f"--inputs={x_file}", f"--output={y_file}", *where)
        return np.load(y_file).view(np.uint32)

    together = compute(x, 2)
    if not np.array_equal(together, compute(x, 1)):
        sys.exit(f"{name}: one thread gives other bits")
    if not np.array_equal(together[17], together[3]):
        sys.exit(f"{name}: equal tokens give different bits")
    for t in (0, 3, 40):
        if not np.array_equal(together[t : t + 1], compute(x[t : t + 1], 2)):
            sys.exit(f"{name}: token {t} alone gives other bits")

    # A NaN spoils its own row and no other.
    x[9] = np.nan
    spoiled = compute(x, 2)
    if not np.isnan(spoiled[9].view(np.float32)).all():
        sys.exit(f"{name}: a NaN token gives numbers")
    if not np.array_equal(np.delete(spoiled, 9, 0), np.delete(together, 9, 0)):
        sys.exit(f"{name}: a NaN token changes others")
    print(f"{name} on {target}: ok")


for name in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as folder:
        check(name, sys.argv[1], folder)
