"""The layers of these tests: artifacts, weights, and what results have to be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import moe_mlir

INPUTS = Path(__file__).parent
E, H, I, K = 8, 32, 16, 2  # Of experts.mlir.


def folder():
    """The folder of the test, empty."""
    path = Path(sys.argv[1])
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    del sys.argv[1:]
    return path


def tool(name, *arguments):
    path = Path(os.environ["MOE_MLIR_BIN"]) / name
    subprocess.run([path, *map(str, arguments)], check=True)


def build(source, base, *flags):
    """Compiles IR to base.so and base.json."""
    tool("moe-compile", source, "--target=native", "--emit=shared,manifest", "-o", base, *flags)
    return Path(f"{base}.so")


def weights(seed=1):
    rng = np.random.default_rng(seed)
    return {"experts.gate_proj": rng.standard_normal((E, I, H)).astype(np.float32),
            "experts.up_proj": rng.standard_normal((E, I, H)).astype(np.float32),
            "experts.down_proj": rng.standard_normal((E, H, I)).astype(np.float32)}


def inputs(tokens, seed=2):
    """x, scores, and the routing that top-2 of the scores with a softmax makes, in float64."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((tokens, H)).astype(np.float32)
    scores = rng.standard_normal((tokens, E)).astype(np.float32)
    indices = np.argsort(-scores, axis=1, kind="stable")[:, :K].astype(np.int32)
    chosen = np.exp(np.take_along_axis(scores, indices, 1).astype(np.float64))
    return x, scores, moe_mlir.Routing(indices, (chosen / chosen.sum(1, keepdims=True)).astype(np.float32))


def expected(x, routing, tensors):
    """The sum over a token's experts of weight * down @ (silu(gate @ x) * (up @ x)), in float64."""
    gate, up, down = (np.asarray(tensors["experts." + n], np.float64) for n in ("gate_proj", "up_proj", "down_proj"))
    y = np.zeros((len(x), H))
    for t, row in enumerate(np.asarray(x, np.float64)):
        for e, w in zip(routing.indices[t], routing.weights[t]):
            if e >= 0:
                g = gate[e] @ row
                y[t] += float(w) * (down[e] @ (g / (1 + np.exp(-g)) * (up[e] @ row)))
    return y


def difference(y, reference):
    """The largest deviation, of the largest value."""
    return np.abs(np.asarray(y, np.float64) - reference).max() / np.abs(reference).max()


def to_bf16(values):
    """Rounded to nearest even, as the upper halves of f32 in uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


# Stands for a tool: says that it was called, and takes its time.
SLOW = """#!/bin/sh
case "$*" in *--help*|*--version*) exec {real} "$@" ;; esac
echo called >> {calls}
sleep {seconds}
exec {real} "$@"
"""


def slow_tools(out, seconds, name="moe-compile"):
    """A folder of tools of which one is slow, and the file that counts its calls."""
    folder = out / f"bin-{seconds}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for tool in Path(os.environ["MOE_MLIR_BIN"]).glob("moe-*"):
        (folder / tool.name).symlink_to(tool)
    (folder / name).unlink()
    (folder / name).write_text(SLOW.format(real=Path(os.environ["MOE_MLIR_BIN"]) / name,
                                       calls=folder / "calls", seconds=seconds))
    (folder / name).chmod(0o755)
    return folder, folder / "calls"
