"""Runs a layer with routings no router would give, against plain NumPy.

usage: routings.py TARGET f32|bf16 [EMULATOR]
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

E, K, H, I = 6, 2, 40, 24
target, weights = sys.argv[1:3]
emulator = [f"--emulator={e}" for e in sys.argv[3:]]
emit = ["--emit=lib,manifest"] if emulator else []
# The host does not see routings there: nothing is an error.
device = ["--device=vulkan"] if target == "vulkan" else []
rng = np.random.default_rng(11)


def model(trusted=""):
    gate, down = f"tensor<{E}x{I}x{H}x{weights}>", f"tensor<{E}x{H}x{I}x{weights}>"
    g, d = f"tensor<{I}x{H}x{weights}>", f"tensor<{H}x{I}x{weights}>"
    rows, routing = f"tensor<?x{H}xf32>", f"!moe.routing<{E} x {K}>"
    return f"""
func.func @layer(%x: {rows} {{moe.name = "x", moe.dims = ["T"]}},
    %i: tensor<?x{K}xi32> {{moe.name = "indices", moe.dims = ["T"]}},
    %w: tensor<?x{K}xf32> {{moe.name = "weights", moe.dims = ["T"]}},
    %wg: {gate} {{moe.name = "gate"}}, %wu: {gate} {{moe.name = "up"}}, %wd: {down} {{moe.name = "down"}})
    -> ({rows} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.routing.make %i, %w {trusted} : tensor<?x{K}xi32>, tensor<?x{K}xf32> -> {routing}
  %rows = moe.dispatch %x by %r : {rows}, {routing} -> {rows}
  %out = moe.expert %rows by %r : ({rows}, {routing}) -> {rows}
    experts 0 to {E} weights(%wg, %wu, %wd : {gate}, {gate}, {down}) {{
    ^bb0(%t: {rows}, %g: {g}, %u: {g}, %d: {d}):
      %f = moe.ffn %t gate(%g) up(%u) down(%d) activation(#moe.silu) : ({rows}, {g}, {g}, {d}) -> {rows}
      moe.yield %f : {rows}
    }}
  %y = moe.combine %out by %r : {rows}, {routing} -> {rows}
  return %y : {rows}
}}
"""


def expert(x, wg, wu, wd):
    g, u = x @ wg.T, x @ wu.T
    return (g / (1 + np.exp(-g)) * u) @ wd.T


def reference(x, indices, w, wg, wu, wd):
    y = np.zeros((len(x), H))
    for t in range(len(x)):
        for s in range(K):
            e = indices[t, s]
            if 0 <= e < E:
                y[t] += w[t, s] * expert(x[t], wg[e], wu[e], wd[e])
    return y


def distinct(tokens):
    return np.stack([rng.permutation(E)[:K] for _ in range(tokens)])


def routings():
    yield "random", distinct(150)
    for t in (1, 14, 15, 300):
        yield f"all {t} tokens to one expert", np.tile([4, -1], (t, 1))
    yield "two experts share all", np.tile([5, 0], (200, 1))
    yield "nobody chosen", np.full((33, K), -1)
    some = distinct(90)
    some[rng.random(some.shape) < 0.5] = -1
    yield "unused slots", some
    first = distinct(40)
    first[:, 0] = -1
    yield "first slot unused", first
    yield "no token", np.zeros((0, K))
    foreign = distinct(50)
    foreign[::7, 1] = 2_000_000
    foreign[3::7, 0] = -2_000_000
    yield "trusted indices out of range count as unused", foreign
    yield "indices out of range are an error", foreign
    twice = distinct(50)
    twice[49] = 3
    yield "an expert twice is an error", twice


with tempfile.TemporaryDirectory() as folder:
    at = lambda name: os.path.join(folder, name)
    for kind in ("layer", "trusted"):
        with open(at(kind + ".mlir"), "w") as out:
            out.write(model("trusted" if kind == "trusted" else ""))
        subprocess.run(["moe-compile", at(kind + ".mlir"), "-o", at(kind), f"--target={target}", *emit], check=True)
    tensors = {n: rng.uniform(-1, 1, s).astype(np.float32) / np.sqrt(s[-1] / 3)
               for n, s in (("gate", (E, I, H)), ("up", (E, I, H)), ("down", (E, H, I)))}
    if weights == "bf16":  # values that bf16 holds exactly
        tensors = {n: (v.view(np.uint32) & 0xFFFF0000).view(np.float32) for n, v in tensors.items()}
    for name, indices in routings():
        if device and name.endswith("error"):
            continue
        indices = indices.astype(np.int32)
        tokens = len(indices)
        inputs = dict(tensors, x=rng.uniform(-1, 1, (tokens, H)).astype(np.float32), indices=indices,
                      weights=rng.uniform(-1, 1, (tokens, K)).astype(np.float32))
        files = []
        for key, value in inputs.items():
            if weights == "bf16" and key in tensors:
                # NumPy has no bf16: safetensors by hand.
                data = (value.view(np.uint32) >> 16).astype(np.uint16).tobytes()
                header = ('{"%s":{"dtype":"BF16","shape":%s,"data_offsets":[0,%d]}}' % (key, list(value.shape), len(data))).encode()
                files.append(at(key + ".safetensors"))
                with open(files[-1], "wb") as out:
                    out.write(len(header).to_bytes(8, "little") + header + data)
            else:
                files.append(at(key + ".npy"))
                np.save(files[-1], value)
        layer = "trusted" if name.startswith("trusted") else "layer"
        result = subprocess.run(["moe-run", at(layer + ".json"), "--entry=layer", "--inputs=" + ",".join(files), "--output=" + at("y.npy"), *emulator, *device],
                                capture_output=True, text=True)
        if name.endswith("error"):
            message = (f"'layer' returned status 6 (bad routing): layer: argument 'indices' sends a token to an expert "
                       f"outside of [-1, {E}), or twice to one")
            if result.returncode == 0 or message not in result.stderr:
                sys.exit(f"{name}: {result.returncode} {result.stdout}{result.stderr}")
            print(f"{name}: ok")
            continue
        if result.returncode:
            sys.exit(f"{name}: {result.stdout}{result.stderr}")
        y = np.load(at("y.npy"))
        want = reference(inputs["x"].astype(np.float64), indices, inputs["weights"], *(tensors[n].astype(np.float64) for n in ("gate", "up", "down")))
        error = np.abs(y - want).max(initial=0) / max(1, np.abs(want).max(initial=0))
        if not error <= (2e-2 if weights == "bf16" else 5e-6):
            sys.exit(f"{name}: error {error}")
        print(f"{name}: ok")
