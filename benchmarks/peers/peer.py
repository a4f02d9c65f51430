# ===- peer.py - What the driver asks of an implementation -----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What the driver asks of an implementation of a layer, ours or another."""

import importlib.util
import json
from pathlib import Path

import numpy as np

ALIGNMENT = 64  # what the strictest of them asks for


class Unavailable(Exception):
    """Why a peer cannot be used here, or not for this layer."""


class Peer:
    """One implementation of one layer. Only `run` is timed; a peer gets its
    input in the type it wants and may keep its output in its own."""

    name = ""
    # The formats of weights that it multiplies; parameters are its own matter.
    formats = ("f32", "bf16")
    # How many times the expert weights it allocates beside those of the layer.
    copies = 0.0

    @classmethod
    def version(cls):
        """The version of what is installed; raises Unavailable if nothing is."""
        raise NotImplementedError

    def __init__(self, layer, threads):
        """Packs the weights; raises Unavailable if the layer is not for it."""
        raise NotImplementedError

    def call_bytes(self, tokens):
        """What a call allocates, where that is worth asking before it."""
        return 0

    def take(self, x):
        """x, an f32 array [T, H], as `run` wants it."""
        return x

    def run(self, x):
        raise NotImplementedError

    def give(self, y):
        """What `run` returned as an f32 array [T, H]."""
        return y


def package_folder(name):
    """Where a package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0])


def aligned(shape, dtype):
    """An array like np.empty's at a multiple of ALIGNMENT."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.empty(size + ALIGNMENT, np.uint8)
    begin = -block.ctypes.data % ALIGNMENT
    return block[begin:begin + size].view(dtype).reshape(shape)


def read_tensors(path, arrays):
    """Reads tensors of a safetensors file into arrays of these names."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, array in arrays.items():
            file.seek(8 + length + header[name]["data_offsets"][0])
            # By expert: those of gate and up may be apart.
            for part in array if array.ndim > 1 else [array]:
                file.readinto(part.reshape(-1).view(np.uint8))
