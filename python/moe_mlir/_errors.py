# ===- _errors.py - What goes wrong ---------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The one exception of the package, and what is refused with it everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn, Optional

__all__ = ["Error"]

#: The numbers of docs/abi.md.
STATUS_NAMES = {
    1: "null argument",
    2: "bad size",
    3: "workspace too small",
    4: "misaligned pointer",
    5: "unsupported CPU",
    6: "bad routing",
    7: "incompatible runtime",
    8: "bad value",
    9: "device failure",
}


class Error(RuntimeError):
    """Something that cannot be done, as one sentence.

    status: what the compiled function returned, a number of `enum moe_status`
        (docs/abi.md), or None if nothing was called. The sentence is the
        runtime's then.
    """

    status: Optional[int]

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        super().__init__(message)
        self.status = status


def fail(message: str) -> NoReturn:
    """Raises an Error without a status."""
    raise Error(message)


def path_of(value: Any, what: str, expected: str) -> Path:
    """The path `value`, with a ~ in front of it replaced; raises Error unless it is one."""
    if not isinstance(value, (str, os.PathLike)):
        fail(f"{what}: is a {type(value).__name__}; expected {expected}")
    return Path(value).expanduser()
