# ===- __init__.py - Compiled MoE layers ----------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Mixture-of-Experts layers, compiled: load them, call them, make them.

    artifact = moe_mlir.compile("config.json", layers=0)
    layer = artifact.load(weights="packed.safetensors")
    y = layer(x)                                  # x [T, H], y [T, H]

docs/python.md of the project has the rest.
"""

from __future__ import annotations

from ._compile import Artifact, compile
from ._device_arrays import DeviceArray
from ._device_layer import DeviceLayer
from ._errors import Error
from ._layer import Layer, Routing, load
from ._manifest import Arg
from ._pack import pack
from ._record import record
from ._version import __version__
from ._weights import Weights

__all__ = ["Arg", "Artifact", "DeviceArray", "DeviceLayer", "Error", "Layer", "Routing", "Weights", "compile", "load", "pack", "record",
           "__version__"]
