# ===- _norm.py - Norms behind each expert --------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Recognises an RMS norm with scales before and after, by what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Tuple

import torch

from ._activation import Unrecognized

__all__ = ["Norm", "recognize_norm"]


@dataclass(frozen=True)
class Norm:
    """rows * before, divided by the root of (their mean square + eps), times after.

    before, after: float32 [columns].
    """

    before: torch.Tensor
    after: torch.Tensor
    eps: float


def recognize_norm(module: torch.nn.Module, columns: int) -> Norm:
    """The norm that `module` is; raises Unrecognized."""
    generator = torch.Generator().manual_seed(21)
    scale = torch.tensor([1e-4, 1e-3, 0.1, 10.0]).repeat(4)[:, None]
    rows = torch.randn(16, columns, generator=generator) * scale
    weights = [p.detach() for p in module.parameters() if p.shape == (columns,)]
    if any(p.device.type == "meta" for p in weights):
        raise Unrecognized("the weight of its norm is on the meta device")
    ones = torch.ones(columns)
    # Some add one before they widen, which rounds.
    scales = [ones, *(s for w in weights for s in (w.float(), 1 + w.float(), (1 + w).float()))]
    pairs: List[Tuple[torch.Tensor, torch.Tensor]] = [(ones, s) for s in scales] + [(s, ones) for s in scales[1:]]
    named: List[Any] = [getattr(module, name, None) for name in ("eps", "variance_epsilon", "norm_eps")]
    epsilons = [float(e) for e in named if isinstance(e, (int, float))] + [1e-6, 1e-5, 1e-15]
    with torch.no_grad():
        expected = module(rows).double()
        for before, after in pairs:
            scaled = rows.double() * before
            for eps in epsilons:
                found = scaled * torch.rsqrt(scaled.pow(2).mean(-1, keepdim=True) + eps) * after
                if bool(((found - expected).abs() <= 1e-5 * (1e-3 + expected.abs())).all()):
                    return Norm(before.contiguous(), after.contiguous(), eps)
    raise Unrecognized(f"the norm behind its experts ({type(module).__name__}) is no RMS norm with a scale")
