# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: python-numpy
# RUN: rm -rf %t && mkdir %t
# RUN: %cc -O1 -shared -fPIC -I%moe_src/include %examples/external/experts.c -o %t/experts.so -lm
# RUN: %cc -O1 -shared -fPIC -I%moe_src/include %S/Inputs/failing_experts.c -o %t/failing.so -lm
# RUN: %python %s %t %examples
"""Layers with experts that are C functions against their definitions in float64; and what
failing ones do: calls that end without a result, rows that count as no expert."""
import os
import subprocess
import sys

import numpy as np

folder, examples = sys.argv[1:]
random = np.random.default_rng(5)


def draw(*shape):
    return (random.standard_normal(shape) * 0.5).astype(np.float32)


def run(model, tensors, library="experts.so", entry=(), status=0):
    out = os.path.join(folder, "y.npy")
    if os.path.exists(out):
        os.remove(out)
    inputs = []
    for name, value in tensors.items():
        path = os.path.join(folder, name + ".npy")
        np.save(path, value)
        inputs.append("--inputs=" + path)
    done = subprocess.run(["moe-run", os.path.join(examples, model), *inputs, *entry, "-o", out,
                           "--external=" + os.path.join(folder, library)], capture_output=True, text=True)
    if status:
        assert done.returncode != 0 and not os.path.exists(out), done
        return done.stderr
    assert done.returncode == 0, done.stderr
    return np.load(out).astype(np.float64)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def network(x, gate, up, down):
    g = x @ gate.T
    return (g / (1 + np.exp(-g)) * (x @ up.T)) @ down.T


def check(got, expected):
    error = np.abs(got - expected).max() / np.abs(expected[np.isfinite(expected)]).max()
    assert error < 2e-6, error


# -- A federation -------------------------------------------------------------

T = 150
t = {"x": draw(T, 64), "router.weight": draw(7, 64), "network.gate_proj": draw(4, 128, 64),
     "network.up_proj": draw(4, 128, 64), "network.down_proj": draw(4, 64, 128),
     "recall.keys": draw(2, 16, 64), "recall.answers": draw(2, 16, 64)}


def federation(t, fails=lambda rows: False):
    """`fails` says of the rows of a call whether it does."""
    d = {name: value.astype(np.float64) for name, value in t.items()}
    x, z = d["x"], d["x"] @ d["router.weight"].T
    chosen = np.argsort(-z, axis=1, kind="stable")[:, :2]
    weights = softmax(np.take_along_axis(z, chosen, 1))
    y = np.zeros_like(x)
    for e in range(7):
        rows, slots = np.nonzero(chosen == e)
        own = x[rows]
        if e < 4:
            out = network(own, *(d["network.%s_proj" % n][e] for n in ("gate", "up", "down")))
        elif e < 6:
            out = softmax(own @ d["recall.keys"][e - 4].T) @ d["recall.answers"][e - 4]
        else:
            out = own * np.roll(own, -1, axis=1)
            for first in range(0, len(rows), 8):
                if fails(own[first:first + 8]):
                    out[first:first + 8] = 0
        np.add.at(y, rows, out * weights[rows, slots][:, None])
    return y, chosen


expected, chosen = federation(t)
assert set(chosen.ravel()) == set(range(7))
check(run("modular_experts.mlir", t), expected)

# Rows that the last expert refuses, and the seven beside each in its call, count as none.
of_last = np.nonzero((chosen == 6).any(1))[0]
assert len(of_last) > 12, len(of_last)
bad = t["x"].copy()
bad[of_last[9]] = t["router.weight"][6] * 1e30  # its square is no f32, the row itself is finite
t["x"] = bad
calls = []


def overflows(rows):
    calls.append(len(rows))
    return False


federation(t, overflows)
assert max(calls) == 8 and len(calls) > 1, calls
# failing.so refuses numbers above 1e20.
expected, chosen = federation(t, lambda rows: np.abs(rows).max() > 1e20)
got = run("modular_experts.mlir", t, "failing.so")
ordinary = np.ones(T, bool)
ordinary[of_last[9]] = False
check(got[ordinary], expected[ordinary])
without, _ = federation(t)
assert np.abs(without[of_last[8]] - expected[of_last[8]]).max() > 1e-3

# One that ends the call: no result, and a message that names it.
said = run("modular_experts.mlir", dict(t, x=t["x"] * 0 + 1), "failing.so", status=1)
assert "returned status 10 (failed expert): layer: the function 'recall' of an expert failed" in said, said
said = run("modular_experts.mlir", dict(t, x=t["x"] * 0 + 1), "failing.so", ["--verify"], status=1)

# -- Retrieval ----------------------------------------------------------------

t = {"x": draw(T, 64), "gate.weight": draw(1, 64), "documents": draw(1, 200, 64),
     "network.gate_proj": draw(1, 128, 64), "network.up_proj": draw(1, 128, 64),
     "network.down_proj": draw(1, 64, 128)}
d = {name: value.astype(np.float64) for name, value in t.items()}
x = d["x"]
g = 1 / (1 + np.exp(-(x @ d["gate.weight"].T)))
scores = x @ d["documents"][0].T
best = np.argsort(-scores, axis=1, kind="stable")[:, :4]
found = np.einsum("tb,tbh->th", softmax(np.take_along_axis(scores, best, 1)), d["documents"][0][best])
asks = g > 0.5
assert 20 < asks.sum() < T - 20
expected = network(x, *(d["network.%s_proj" % n][0] for n in ("gate", "up", "down"))) + np.where(asks, g * found, 0)
check(run("expert_rag.mlir", t), expected)
# It is asked for nobody else: one that fails for every row is not called without tokens.
for x, status in ((-t["gate.weight"], 0), (t["gate.weight"], 1)):
    run("expert_rag.mlir", dict(t, x=np.repeat(x, 9, axis=0)), "failing.so", status=status)
