# ===- __init__.py - Compiled experts in transformers ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Runs the experts of transformers' models as compiled code.

    moe_mlir.transformers.register()
    model = AutoModelForCausalLM.from_pretrained(path, experts_implementation="moe_mlir")

Modules are compiled and packed when they are first called. prepare() does that ahead of
time, and tells what it did with each of them.
"""

from __future__ import annotations

from ._experts import experts_forward
from ._prepare import prepare, refresh
from ._report import Entry, Report

__all__ = ["Entry", "Report", "prepare", "refresh", "register"]


def register() -> None:
    """Makes "moe_mlir" an `experts_implementation` of transformers. May be called again."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    if ALL_EXPERTS_FUNCTIONS.get("moe_mlir") is not experts_forward:
        ALL_EXPERTS_FUNCTIONS.register("moe_mlir", experts_forward)
