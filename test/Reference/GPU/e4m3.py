# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: python-numpy
# RUN: %python %s %t
"""Products in 8 bits: rows become E4M3 where weights are in fp8 and there are many of them.
Routings that are made to be hard; scales of tiles, of rows, of few rows and of powers of two;
columns that fill no tile; rows of zeros, of tiny values, with a huge one, NaN and infinities.

NumPy rounds as the kernels do, so what is left is sums of f32 in another order, 1e-6, and where
that turns the rounding of an element to bf16 or E4M3 the other way: one of some thousand rows
between the products, which changes its results by a 2^-4th of one of their 128 terms, and some
results, by 2^-8 of themselves. So nearly all elements are within NEARLY of the root mean square
of their row, and all within BOUND; with the scale of another group, all are off by more.

What E4M3 does at all is within E4M3_BOUND of float64, see kernels.py, here with columns that fill
no tile of `gate_up`. Few rows stay bf16, and are those of formats.py."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
from e4m3 import Matrix, read, run, write
from kernels import E4M3_BOUND, FORMAT_BOUND, Failures, must
from layers import EXPERTS, SLOTS, make_layer

folder, = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
NEARLY, SHARE, BOUND = 1e-5, 0.99, 0.05
# Up to six rows an expert in the mean.
FEW = 6 * EXPERTS

# Formats of gate and up, and of down; hidden, inner; tokens and kinds of routings.
HARD = [(tokens, kind) for tokens in (0, 1, 5, 130, 300) for kind in ("random", "same", "one", "none", "holes")]
CASES = [
    ((dict(), dict(rows=1, columns=0)), (256, 256), HARD),
    ((dict(rows=8, columns=256), dict(exponents=True)), (256, 384), [(130, "random")]),
    ((dict(rows=4, exponents=True), dict(rows=32, columns=0)), (128, 128), [(70, "random")]),
]


def format_of(options):
    text = ", ".join(f"{key} = {str(value).lower()}" for key, value in options.items())
    return f"fp8<{text}>" if text else "fp8"


def make_experts(random, kind, tokens):
    if kind == "random":
        return np.array([random.permutation(EXPERTS)[:SLOTS] for _ in range(tokens)]).reshape(tokens, SLOTS)
    if kind == "holes":
        chosen = make_experts(random, "random", tokens)
        return np.where(random.uniform(size=chosen.shape) < 0.6, chosen, -1)
    return np.tile({"same": [2, 1], "one": [3, -1], "none": [-1, -1]}[kind], (tokens, 1))


def make_x(random, tokens, hidden):
    x = random.standard_normal((tokens, hidden)).astype(np.float32)
    if tokens > FEW:
        x[3] = 0
        x[4] *= 1e-38
        x[5, 7] = 1e4  # all else of its group is below the normal numbers
        x[6, hidden - 1] = np.nan
        x[7, 0] = np.inf
        x[8, :128] *= 2.0 ** -112  # one group less than any scale
    return x


failures = Failures()
path = {name: os.path.join(folder, name) for name in
        ("model.mlir", "stored.mlir", "sm_90a.mlir", "in.safetensors", "out.safetensors")}


def interpret(*options):
    return must("moe-interpret", *options, "--inputs=" + path["in.safetensors"], "-o", path["out.safetensors"])


def compare(what, found, wanted):
    """All NaN where it is to be, and else near."""
    is_nan = np.isnan(wanted).any(1)
    problems = []
    if not (np.isnan(found).all(1) == is_nan).all():
        problems.append("rows of NaN are others")
    found, wanted = found[~is_nan], wanted[~is_nan]
    size = np.sqrt((wanted ** 2).mean(1, keepdims=True))
    off = np.abs(found - wanted) / np.where(size > 0, size, 1e-30)
    if not (np.isfinite(found).all() and (off <= BOUND).all() and (not off.size or (off <= NEARLY).mean() >= SHARE)):
        problems.append(f"off by {off.max():.2g}, {(off <= NEARLY).mean():.4f} nearly right")
    failures.runs += 1
    failures.lines += [f"{what}: {problem}" for problem in problems]


def compile_layer(formats, hidden, inner):
    with open(path["model.mlir"], "w", encoding="utf-8") as file:
        file.write(make_layer(formats, hidden, inner))
    must("moe-opt", "--moe-store-weights", path["model.mlir"], "-o", path["stored.mlir"])
    must("moe-compile", path["stored.mlir"], "--target=sm_90a", "--activations=e4m3", "--compile-to=vector", "-o",
         path["sm_90a.mlir"])


def check_float64(what, bound, *options):
    """What there is in sm_90a.mlir, beside the model."""
    expected = os.path.join(folder, "expected.safetensors")
    must("moe-interpret", path["stored.mlir"], *options, "-o", expected)
    failures.compare(what, "sm_90a", path["sm_90a.mlir"], expected, *options, bound=bound)


for formats, (hidden, inner), works in CASES:
    compile_layer([format_of(own) for own in formats], hidden, inner)
    random = np.random.default_rng(hidden + inner)
    gate, up = (Matrix(random, EXPERTS, inner, hidden, **formats[0]) for _ in range(2))
    down = Matrix(random, EXPERTS, hidden, inner, **formats[1])
    stored = {**gate.stored("gate"), **up.stored("up"), **down.stored("down")}
    for tokens, kind in works:
        x, experts = make_x(random, tokens, hidden), make_experts(random, kind, tokens)
        weights = random.uniform(0.1, 1, experts.shape).astype(np.float32)
        write(path["in.safetensors"], {"x": ("F32", x), "routing.indices": ("I32", experts),
                                       "routing.weights": ("F32", weights), **stored})
        few = tokens * SLOTS <= FEW
        for order in (0, 1, 5) if (tokens, kind) == (130, "random") else (2,):
            what = f"{formats}, {tokens} tokens, {kind}, order {order}"
            where = f"--tokens={tokens}", f"--order={order}", f"--multiprocessors={1 + order % 3}"
            if few:
                check_float64(what, FORMAT_BOUND, "--inputs=" + path["in.safetensors"], where[0])
                continue
            interpret("--gpu", path["sm_90a.mlir"], *where)
            compare(what, read(path["out.safetensors"], "y"), run(x, experts, weights, gate, up, down))
for formats, size in ((("fp8", "q8_0"), (256, 96)), (("fp8<rows = 1, columns = 0>", "fp8"), (384, 256))):
    compile_layer(formats, *size)
    experts = make_experts(np.random.default_rng(1), "random", 130)
    write(path["in.safetensors"], {"routing.indices": ("I32", experts),
                                   "routing.weights": ("F32", np.full(experts.shape, 0.5, np.float32))})
    check_float64(f"{formats}, {size}", E4M3_BOUND, "--random=3", "--tokens=130", "--inputs=" + path["in.safetensors"])
failures.finish()
