#!/usr/bin/env python3
# ===- sanitize.py - A few calls, for compute-sanitizer --------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Calls a small layer for each of a few routings, and compares with NumPy. With nothing
but ctypes and NumPy in the process and each buffer as large as it has to be, so that
compute-sanitizer is quick and exact:

    compute-sanitizer --tool memcheck python3 sanitize.py FOLDER
"""

import sys

import numpy as np

from artifact import Artifact, Device, DeviceError
from report import Failure

MODEL = "small"
POISON = b"\xff"  # of which NaN are made
TOLERANCE = 1.5e-2  # of a row's largest element, as check.py has it


def to_bf16(values):
    """Rounded to nearest even, as the upper halves of f32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def to_f64(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def rounded(values):
    return to_f64(to_bf16(values))


def routings(shape, random):
    """Experts of each token's slots: more than a tile has rows of one expert and
    none of another, with holes; a few tokens; one; and a single row of the last."""
    def some(tokens):
        experts = random.permuted(np.tile(np.arange(shape.experts - 1), (tokens, 1)), axis=1)[:, :shape.slots]
        experts[:, 0] = np.where(random.random(tokens) < 0.3, -1, experts[:, 0])
        return experts

    last = np.full((5, shape.slots), -1)
    last[-1, 0] = shape.experts - 1
    return {"many": some(300), "few": some(7), "one": some(1), "last": last}


def reference(x, gate_up, down, experts, weights):
    """In f64, of what the layer multiplies: in bf16."""
    x, gate_up, down, y = rounded(x), to_f64(gate_up), to_f64(down), np.zeros(x.shape)
    for token, slot in zip(*np.nonzero(experts >= 0)):
        gate, up = gate_up[experts[token, slot]] @ x[token]
        h = rounded(gate / (1 + np.exp(-gate)) * up)
        y[token] += weights[token, slot] * rounded(down[experts[token, slot]] @ h)
    return y


class Caller:
    def __init__(self, device, artifact):
        self.device, self.artifact, self.random = device, artifact, np.random.default_rng(1)
        shape = artifact.shape
        self.gate_up = self.weights(shape.experts, 2, shape.inner, shape.hidden)
        self.down = self.weights(shape.experts, shape.hidden, shape.inner)

    def weights(self, *sizes):
        return to_bf16(self.random.standard_normal(sizes) / np.sqrt(sizes[-1]))

    def upload(self, data):
        address = self.device.allocate(len(data))
        self.device.write(address, data)
        return address

    def run(self, name, experts):
        """True if the result is right."""
        tokens, hidden = len(experts), self.artifact.shape.hidden
        x = self.random.standard_normal((tokens, hidden)).astype(np.float32)
        weights = self.random.random(experts.shape, np.float32)
        given = {"x": x, "experts.gate_up": self.gate_up, "experts.down_proj": self.down,
                 "routing.indices": experts.astype(np.int32), "routing.weights": weights}
        addresses = {n: self.upload(data.tobytes()) for n, data in given.items()}
        addresses["y"] = self.upload(POISON * x.nbytes)
        size = self.artifact.workspace_bytes(tokens)
        self.artifact.call(tokens, addresses, self.upload(POISON * size), size)
        self.device.synchronize()
        y = np.frombuffer(self.device.read(addresses["y"], x.nbytes), np.float32).reshape(x.shape)
        wanted = reference(x, self.gate_up, self.down, experts, weights)
        worst = (abs(y - wanted).max(1) / np.maximum(abs(wanted).max(1), 1e-30)).max()
        right = bool(worst <= TOLERANCE)  # false for NaN, too
        print(f"{name}: {'right' if right else 'WRONG'}, off by {worst:.1e}", flush=True)
        return right


def main(folder):
    device = Device(folder)
    caller = Caller(device, Artifact(device, folder, MODEL))
    return all([caller.run(name, experts) for name, experts in routings(caller.artifact.shape, caller.random).items()])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: sanitize.py FOLDER")
    try:
        sys.exit(0 if main(sys.argv[1]) else 1)
    except (DeviceError, Failure) as error:
        sys.exit(f"sanitize.py: error: {error}")
