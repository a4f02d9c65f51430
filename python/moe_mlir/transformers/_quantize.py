# ===- _quantize.py - Storing experts in fewer bits ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Converts the matrices of a module by moe-quantize."""

from __future__ import annotations

from typing import Dict

import torch

from ._ir import Spec


def stored(tensors: Dict[str, torch.Tensor], spec: Spec) -> Dict[str, torch.Tensor]:
    raise NotImplementedError
