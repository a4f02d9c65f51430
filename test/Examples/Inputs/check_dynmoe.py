"""The DynMoE example against the definition of the layer in NumPy.

usage: check_dynmoe.py MODEL
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

model = sys.argv[1]
H, I, E, T = 256, 512, 16, 9
rng = np.random.default_rng(3)


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def layer(x, sim, gates, temperature, active, wg, wu, wd):
    scale = np.exp(min(temperature[0], np.log(100)))
    unit = lambda a: a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12)
    scores = sigmoid(scale * unit(x) @ unit(sim).T) * active
    chosen = scores > sigmoid(scale * gates)
    for t in np.flatnonzero(~chosen.any(1)):
        chosen[t, np.argmax(scores[t])] = True
    y = np.zeros_like(x)
    for t, e in zip(*np.nonzero(chosen)):
        gate, up = wg[e] @ x[t], wu[e] @ x[t]
        y[t] += wd[e] @ (gate * sigmoid(gate) * up) / chosen[t].sum()
    return y, chosen.sum(1)


def check(name, gates, temperature, active, x):
    names = ("x", "router.sim_matrix", "router.gates", "router.temperature", "router.active",
             "experts.gate_proj", "experts.up_proj", "experts.down_proj")
    draw = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    tensors = [x, draw(E, H), np.float32(gates), np.float32([temperature]), np.float32(active),
               draw(E, I, H), draw(E, I, H), draw(E, H, I)]
    want, counts = layer(*(a.astype(np.float64) for a in tensors))
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for key, a in zip(names, tensors):
            files.append(os.path.join(folder, key + ".npy"))
            np.save(files[-1], a)
        result = os.path.join(folder, "y.npy")
        subprocess.run(["moe-run", model, "--inputs=" + ",".join(files), "--verify", "--output=" + result],
                       check=True, stdout=subprocess.DEVNULL)
        got = np.load(result)
    error = np.abs(got - want).max() / max(1, np.abs(want).max())
    if not error < 1e-5:
        sys.exit(f"{name}: error {error}")
    print(f"{name}: {counts.min()} to {counts.max()} experts a token: ok")


x = rng.standard_normal((T, H)).astype(np.float32)
gates = 0.1 * rng.standard_normal(E)
half = np.arange(E) % 2
check("ordinary", gates, 0.0, np.ones(E), x)
check("warm", gates, 6.0, np.ones(E), x)
check("half of the experts", gates - 0.2, 0.0, half, x)
check("nobody is similar", gates + 1, 0.0, np.ones(E), x)
check("everybody is similar", gates - 2, 0.0, np.ones(E), x)
check("no expert is active", gates, 0.0, np.zeros(E), x)
check("tokens of zeros", gates, 0.0, np.ones(E), np.zeros_like(x))
