# ===- _report.py - What prepare() did ------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A line for each module, as objects and as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

import torch

__all__ = ["Entry", "Report", "tolerance_of"]

#: In parts of the largest result: two float32 programs differ by rounding alone, in bf16
#: and f16 by how often each of them rounds. Routers compute in 16 bits, too.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}
#: Weights in formats are others than the model's: only garbage is refused.
_TOLERANCE_STORED = 0.5


def tolerance_of(rows: torch.dtype, stored: Optional[str]) -> float:
    """The largest deviation from the model's own code that passes, for tokens of type `rows`
    and weights that are stored in a format, or as the model has them."""
    return _TOLERANCE_STORED if stored else _TOLERANCE[rows]


@dataclass
class Entry:
    """A module.

    name: its path in the model. part: "experts", or "block" with its router.
    artifact: the key of its code; None if it was left as it was.
    reason: why it was left, or what is still to come.
    nbytes: of its packed weights.
    deviation: with verify, the largest difference to the model's own code, in parts of
        the largest result.
    """

    name: str
    part: str
    artifact: Optional[str] = None
    reason: str = ""
    nbytes: int = 0
    deviation: Optional[float] = None


@dataclass
class Report:
    """What prepare() did; print it. `left` are the modules that stay on their own code."""

    entries: List[Entry] = field(default_factory=list)

    @property
    def compiled(self) -> List[Entry]:
        return [entry for entry in self.entries if entry.artifact is not None]

    @property
    def left(self) -> List[Entry]:
        return [entry for entry in self.entries if entry.artifact is None]

    def __str__(self) -> str:
        artifacts = {entry.artifact for entry in self.compiled}
        total = sum(entry.nbytes for entry in self.entries)
        lines = [f"{len(self.compiled)} of {len(self.entries)} modules are compiled, by {len(artifacts)} artifacts; "
                 f"{total / 1e6:.1f} MB of packed weights"]
        for entry in self.entries:
            said = f"{entry.artifact[:12]}" if entry.artifact else "left as it was"
            if entry.deviation is not None:
                said += f", deviation {entry.deviation:.1e}"
            lines.append(f"  {entry.name} ({entry.part}): {said}" + (f": {entry.reason}" if entry.reason else ""))
        return "\n".join(lines)
