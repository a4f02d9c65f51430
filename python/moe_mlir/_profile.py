# ===- _profile.py - What a profile says of routings -----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Members of the file of docs/profile.md, as moe-run --profile-out writes them."""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

from ._errors import fail

__all__ = ["SCHEMA", "VERSION", "bins_of", "routing"]

SCHEMA, VERSION = "moe-profile", 1
SHARES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)


def bins_of(weights: Any) -> Any:
    """The bin of each weight: the upper 12 bits of its float32, -1 - b for the negative of one in b."""
    single = np.asarray(weights, np.float32)
    bins = (np.abs(single).view(np.uint32) >> 20).astype(np.int64)
    return np.where(single < 0, -1 - bins, bins)


def _middle(number: int) -> float:
    def edge(n: int) -> float:
        return float(np.array(n << 20, np.uint32).view(np.float32))

    if number == 0:
        return 0.0
    if number < 0:
        return -(edge(-number) + edge(-1 - number)) / 2
    return (edge(number) + edge(number + 1)) / 2


def _quantiles(bins: Any, counts: Any, least: float, largest: float) -> List[float]:
    total = int(counts.sum())
    result = [least]
    for share in SHARES[1:-1]:
        place = int(np.searchsorted(np.cumsum(counts), np.ceil(share * total)))
        result.append(min(max(_middle(int(bins[place])), least), largest))
    return [float(f"{v:.7g}") for v in result + [largest]]


def routing(indices: Any, weights: Any, experts: int, name: str = "a router") -> Dict[str, Any]:
    """A member of `routings`.

    indices: integers [T, K], -1 in an unused slot. weights: floats [T, K]. experts: E.
    """
    indices, weights = np.asarray(indices, np.int64), np.asarray(weights, np.float64)
    tokens, slots = indices.shape
    used = indices >= 0
    chosen, values = indices[used], weights[used]
    if not np.isfinite(values.astype(np.float32)).all():
        fail(f"{name}: has weights that are not finite")
    mask = np.zeros((tokens, experts + 1), np.int64)
    np.put_along_axis(mask, np.where(used, indices, experts), 1, axis=1)
    mask = mask[:, :experts]
    counts = mask.sum(axis=0)
    if int(counts.sum()) != chosen.size:
        fail(f"{name}: has a token with one expert twice")
    sums = np.zeros(experts)
    np.add.at(sums, chosen, np.ldexp(np.rint(np.ldexp(values, 30)), -30))
    bins, of_bin = np.unique(bins_of(values), return_counts=True)
    single = values.astype(np.float32)
    least, largest = (float(single.min()), float(single.max())) if chosen.size else (0.0, 0.0)
    # Integers up to 2^53 are exact in doubles, whose product is the fast one.
    together = (mask.T.astype(np.float64) @ mask.astype(np.float64)).astype(np.int64)
    first, second = np.nonzero(np.triu(together, 1))
    return {
        "experts": experts,
        "slots": slots,
        "tokens": tokens,
        "assignments": int(chosen.size),
        "counts": counts.tolist(),
        "weight_sums": sums.tolist(),
        "tokens_with": np.bincount(used.sum(axis=1), minlength=slots + 1).tolist(),
        "weights": {
            "least": least,
            "largest": largest,
            "bins": np.stack([bins, of_bin], axis=1).tolist(),
            "quantiles": _quantiles(bins, of_bin, least, largest) if chosen.size else [],
        },
        "pairs": np.stack([first, second, together[first, second]], axis=1).tolist(),
    }
