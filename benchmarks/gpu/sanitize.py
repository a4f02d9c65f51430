#!/usr/bin/env python3
# ===- sanitize.py - A few launches, for compute-sanitizer -----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Launches every kernel of a small layer once for each of a few routings, and
compares with NumPy. With nothing but ctypes and NumPy in the process and each
buffer as large as it has to be, so that compute-sanitizer is quick and exact:

    compute-sanitizer --tool memcheck python3 sanitize.py FOLDER
"""

import sys

import numpy as np

from driver import CudaError, Driver
from kernels import MODELS, PATHS, Kernels, find

MODEL = "small"
POISON = 0x7FA5  # a NaN that no computation makes
TOLERANCE = 2e-2  # of a row's largest element


def to_bf16(values):
    """Rounded to nearest even, as the upper halves of f32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def to_f64(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def routings(shape, random):
    """Experts of each token's slots: more than a tile has rows of one expert and
    none of another, with holes, and a single row of the last."""
    tokens = 300
    experts = random.permuted(np.tile(np.arange(shape.experts - 1), (tokens, 1)), axis=1)[:, :shape.slots]
    experts[:, 0] = np.where(random.random(tokens) < 0.3, -1, experts[:, 0])
    last = np.full((5, shape.slots), -1)
    last[-1, 0] = shape.experts - 1
    return {"holes": experts, "last": last}


def route(experts, number):
    """As the kernels take it: gather, offsets, positions."""
    flat = experts.ravel()
    order = np.argsort(np.where(flat < 0, number, flat), kind="stable")[:(flat >= 0).sum()]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(flat[order], minlength=number))])
    positions = np.full(flat.size, -1)
    positions[order] = np.arange(order.size)
    return order // experts.shape[1], offsets, positions


def reference(shape, x, w_gate_up, w_down, experts, weights):
    gate_up = to_f64(w_gate_up).reshape(shape.experts, 2 * shape.inner, shape.hidden)
    down = to_f64(w_down).reshape(shape.experts, shape.hidden, shape.inner)
    rows, y = to_f64(x), np.zeros(x.shape)
    for token, slot in zip(*np.nonzero(experts >= 0)):
        gate, up = np.split(gate_up[experts[token, slot]] @ rows[token], 2)
        h = to_f64(to_bf16(gate / (1 + np.exp(-gate)) * up))
        y[token] += weights[token, slot] * (down[experts[token, slot]] @ h)
    return y


class Launcher:
    def __init__(self, driver, path, shape):
        self.driver, self.shape = driver, shape
        self.kernels = Kernels(driver, path, shape)
        self.random = np.random.default_rng(1)
        self.weights = {name: to_bf16(self.random.standard_normal(sizes) / np.sqrt(sizes[1]))
                        for name, sizes in shape.matrices(1).items() if name.startswith("w_")}

    def upload(self, data):
        data = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
        address = self.driver.allocate(len(data))
        self.driver.write(address, data)
        return address

    def poisoned(self, rows, columns):
        address = self.driver.allocate(rows * columns * 2)
        self.driver.fill(address, POISON, rows * columns)
        return address

    def run(self, name, path, experts):
        """Launches a path; True if the result is right."""
        shape, tokens = self.shape, len(experts)
        gather, offsets, positions = route(experts, shape.experts)
        x = to_bf16(self.random.standard_normal((tokens, shape.hidden)))
        weights = self.random.random(experts.shape, np.float32)
        given = {**self.weights, "x": x, "weights": weights, "gather": gather.astype(np.int32),
                 "offsets": offsets.astype(np.int32), "positions": positions.astype(np.int32)}
        addresses = {n: self.upload(data) for n, data in given.items()}
        addresses.update(h=self.poisoned(len(gather), shape.inner), rows=self.poisoned(len(gather), shape.hidden),
                         y=self.poisoned(tokens, shape.hidden))
        addresses.update((n, self.upload(data)) for n, data in self.kernels.maps(addresses, len(gather)).items())
        self.kernels.layer(path, addresses, tokens)
        self.driver.synchronize()
        y = to_f64(np.frombuffer(self.driver.read(addresses["y"], tokens * shape.hidden * 2), np.uint16))
        wanted = reference(shape, x, self.weights["w_gate_up"], self.weights["w_down"], experts, weights)
        largest = np.maximum(abs(wanted).max(1), 1e-30)
        worst = (abs(y.reshape(wanted.shape) - wanted).max(1) / largest).max()
        right = bool(worst <= TOLERANCE)  # false for NaN, too
        print(f"{name}, {path}: {'right' if right else 'WRONG'}, off by {worst:.1e}", flush=True)
        return right


def main(folder):
    path, shape = find(folder, MODEL), MODELS[MODEL]
    if path is None:
        raise CudaError(f"{folder} has no kernels for '{MODEL}'")
    launcher = Launcher(Driver().enter(), path, shape)
    return all([launcher.run(name, way, experts) for name, experts in routings(shape, launcher.random).items()
                for way in PATHS])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: sanitize.py FOLDER")
    try:
        sys.exit(0 if main(sys.argv[1]) else 1)
    except CudaError as error:
        sys.exit(f"sanitize.py: error: {error}")
