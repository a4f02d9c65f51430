# ===- ours.py - The compiled layer, called by ctypes ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The compiled layer, called through the interface that docs/abi.md describes."""

import ctypes

import numpy as np

from layer import DTYPES
from peer import Peer, aligned, read_tensors


class Ours(Peer):
    name = "ours"

    def __init__(self, layer, threads):
        self.library = ctypes.CDLL(str(layer.library))
        name = layer.function["invoke"]
        self.invoke = self.library[name]
        self.workspace_bytes = self.library[name + "_workspace"]
        self.workspace_bytes.restype = ctypes.c_size_t
        self.status_string = self.library.moe_status_string
        self.status_string.restype = ctypes.c_char_p

        # Read instead of mapped, as the peers' weights are: a mapped page costs
        # a fault when the first token chooses its expert.
        self.packed = {a["name"]: aligned(a["shape"], DTYPES[a["dtype"]])
                       for a in layer.function["arguments"] if a["name"] != "x"}
        read_tensors(layer.packed, self.packed)
        layer.packed.unlink()

    def take(self, x):
        tokens = ctypes.c_int64(len(x))
        size = self.workspace_bytes(ctypes.byref(tokens))
        y, workspace = np.empty_like(x), aligned((size,), np.uint8)
        arrays = [x, *self.packed.values(), y]
        buffers = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])
        arguments = (None, ctypes.byref(tokens), buffers, ctypes.c_void_p(workspace.ctypes.data),
                     ctypes.c_size_t(size))
        return arguments, (x, y, workspace)

    def run(self, call):
        arguments, (_, y, _) = call
        status = self.invoke(*arguments)
        if status:
            raise RuntimeError(f"the compiled layer failed: {self.status_string(status).decode()}")
        return y
