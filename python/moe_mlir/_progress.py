# ===- _progress.py - How far something is --------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""How far something is, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Optional


class Progress:
    """A bar of tqdm if that is installed, else one line a second.

    total: in `unit`, or None if it is not known: the seconds are shown then.
    """

    def __init__(self, what: str, total: Optional[int] = None, unit: str = "B", enabled: bool = True) -> None:
        self._what = what
        self._total = total
        self._unit = unit
        self._is_on = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._begin = self._last = time.monotonic()
        self._is_shown = False
        self._bar: Any = None
        if self._is_on and total is not None:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
            except ImportError:
                return
            self._bar = tqdm(desc=what, total=total, unit=unit, unit_scale=True, unit_divisor=1000)

    def update(self, done: int = 0) -> None:
        """`done` of the total are done."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if not self._is_on or now - self._last < 1:
            return
        self._last = now
        text = f"{self._what}: {now - self._begin:.0f} s"
        if self._total:
            text = f"{self._what}: {100 * done // self._total} % of {self._total / 1e9:.1f} G{self._unit}, " \
                   f"{done / 1e6 / (now - self._begin):.0f} M{self._unit}/s"
        self._show(text)

    def _show(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
        self._is_shown = bool(text)

    def close(self) -> None:
        """Takes the line away; a bar stays."""
        if self._bar is not None:
            self._bar.close()
        elif self._is_shown:
            self._show("")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
