# ===- kernels.py - Our kernels as they are called -------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The one place that knows the kernels of a layer: their names, arguments, threads,
shared memory and grids, and which are taken for how many tokens. It knows
addresses only, so that it is the same with and without PyTorch."""

import ctypes
import hashlib
from dataclasses import dataclass
from pathlib import Path

# Hopper with its products of warpgroups: nothing else runs code for sm_90a.
CAPABILITY = (9, 0)
# Kernels for tiles of many rows, and for few rows an expert.
PATHS = {"tiled": ("gate_up", "down"), "few": ("few_gate_up", "few_down")}
FEW_TOKENS = 256
# The copy engine's maps: of which matrix, and how many rows a box has.
MAPS = {"map_gate_up": ("w_gate_up", 128), "map_down": ("w_down", 256), "map_h": ("h", 128)}
SUFFIXES = (".cubin", ".ptx", ".s")


@dataclass(frozen=True)
class Shape:
    experts: int
    hidden: int
    inner: int
    slots: int  # experts a token

    def matrices(self, count):
        """Rows and columns of what is in bf16, with `count` rows of experts."""
        return {"w_gate_up": (self.experts * 2 * self.inner, self.hidden),
                "w_down": (self.experts * self.hidden, self.inner),
                "h": (count, self.inner), "rows": (count, self.hidden)}


MODELS = {
    "small": Shape(4, 256, 128, 2),
    "OLMoE-1B-7B": Shape(64, 2048, 1024, 8),
    "Qwen3-30B-A3B": Shape(128, 2048, 768, 8),
    "Mixtral-8x7B": Shape(8, 4096, 14336, 2),
    "DeepSeek-V3-32": Shape(32, 7168, 2048, 8),  # 32 of its 256 experts
    "gpt-oss-20b": Shape(32, 2880, 2880, 4),
}


@dataclass(frozen=True)
class Kernel:
    threads: int
    shared: int
    arguments: tuple  # names of buffers; "tokens" is a number
    grid: int


def interface(shape, tokens, multiprocessors):
    """The kernels for a layer and this many tokens."""
    table = 2 * (-(-shape.experts // 32) * 32 + 1) * 4
    tiled = 4 * (16384 + 32768) + 64 + table
    chunks = -(-tokens * shape.hidden // 8 // 256)
    one = multiprocessors
    return {
        "gate_up": Kernel(384, tiled, ("map_gate_up", "x", "gather", "offsets", "h"), one),
        "down": Kernel(384, tiled, ("map_down", "map_h", "offsets", "rows"), one),
        "few_gate_up": Kernel(256, 8192 + table, ("w_gate_up", "x", "gather", "offsets", "h"), 2 * one),
        "few_down": Kernel(256, 4096 + table, ("w_down", "h", "offsets", "rows"), 4 * one),
        "combine": Kernel(256, 0, ("rows", "positions", "weights", "y", "tokens"), max(1, min(8 * one, chunks))),
    }


def find(folder, model):
    """The file of a model's kernels, or None."""
    paths = [Path(folder) / f"{model}{suffix}" for suffix in SUFFIXES]
    return next((p for p in paths if p.is_file()), None)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


class Kernels:
    def __init__(self, driver, path, shape):
        self.driver, self.shape = driver, shape
        module = driver.load(path)
        self.launchers = {name: driver.kernel(module, name, k.threads, k.shared)
                          for name, k in interface(shape, 1, driver.multiprocessors).items()}

    def maps(self, addresses, count, names=MAPS):
        """The bytes of each map, which belong into memory of the device."""
        made = {}
        for name in names:
            matrix, box_rows = MAPS[name]
            rows, columns = self.shape.matrices(max(count, 1))[matrix]
            made[name] = self.driver.tensor_map(addresses[matrix], rows, columns, box_rows)
        return made

    def launch(self, name, addresses, tokens, stream=0):
        kernel = interface(self.shape, tokens, self.driver.multiprocessors)[name]
        values = [ctypes.c_int32(tokens) if a == "tokens" else ctypes.c_uint64(addresses[a])
                  for a in kernel.arguments]
        self.launchers[name](kernel.grid, values, stream)

    def layer(self, path, addresses, tokens, stream=0):
        """A layer behind its router, by the kernels of a path."""
        for name in (*PATHS[path], "combine"):
            self.launch(name, addresses, tokens, stream)


def chosen_path(tokens):
    return "few" if tokens <= FEW_TOKENS else "tiled"
