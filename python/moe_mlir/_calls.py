# ===- _calls.py - Memory of calls ----------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What calls work with: scratch memory, pointers, sizes.

Taking one from a list and putting it back are atomic, so there are as many as
calls were made at the same time, whichever threads they were made by.
"""

from __future__ import annotations

from ctypes import c_size_t, c_void_p
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ._runtime import ALIGNMENT, Runtime
from ._weights import Weights


class Workspace:
    """Scratch memory. Nothing in it outlives a call, so all layers share them."""

    __slots__ = ("memory", "pointer", "size", "room")

    def __init__(self) -> None:
        self.grow(0)

    def grow(self, size: int) -> None:
        # Freed first: the old one has no contents to keep. Without room if there is
        # no memory: the next call asks again.
        self.room = -1
        self.memory: Any = None
        self.memory = np.empty(size + ALIGNMENT, np.uint8)
        address = self.memory.ctypes.data
        self.pointer = c_void_p(address + -address % ALIGNMENT)
        self.size = c_size_t(size)
        self.room = size


#: Those that no call is using: as many as there were calls at the same time.
workspaces: List[Workspace] = []


class Call:
    """What one call of one layer writes to, so that several can run at once."""

    __slots__ = ("buffers", "runtime", "rt")

    def __init__(self, buffers: Any, runtime: Runtime) -> None:
        self.buffers = buffers
        self.runtime = runtime
        self.rt = runtime.reference


class Binding:
    """The weights of a layer, and the calls that were made with them.

    One object, so that whoever sets other weights disturbs no call that runs."""

    __slots__ = ("weights", "addresses", "required", "calls")

    def __init__(self, weights: Optional[Weights], addresses: Dict[str, int], required: List[str]) -> None:
        self.weights = weights
        self.addresses = addresses
        self.required = required
        self.calls: List[Call] = []


class Plan:
    """All that follows from the shapes of a call.

    shapes: of the arguments. results: of the results. nbytes: of arguments, then results.
    """

    __slots__ = ("sizes", "workspace", "shapes", "results", "nbytes")

    def __init__(self, sizes: Any, workspace: int, shapes: Dict[str, Tuple[int, ...]],
                 results: List[Tuple[int, ...]], nbytes: List[int]) -> None:
        self.sizes = sizes
        self.workspace = workspace
        self.shapes = shapes
        self.results = results
        self.nbytes = nbytes
