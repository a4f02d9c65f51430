# ===- check.py - Whether layers compute what they should ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Our layers beside a reference in f64, on routings that are hard on them."""

import torch

from layer import ROUTINGS

# Of a row's largest element, of y as what the layer multiplies: in bf16. What is near the
# middle of two such numbers may be rounded the other way, up to 8e-3 of it; a step of
# 16 that is left out of a product is 3e-2 or more. In E4M3: the reference rounds rows
# the same way, and one value that is rounded the other way is one term of a sum; what
# tensor cores lose, who add up 128 products in about 14 bits, is 1e-3 at most.
TOLERANCE = 1.5e-2
RUNS = 2  # whose bits have to be the same


def difference(found, wanted):
    """The largest of a row's elements, by the row's largest."""
    if not wanted.numel():
        return 0.0
    largest = wanted.abs().amax(1).clamp(min=1e-30)
    worst = float(((found.double() - wanted).abs().amax(1) / largest).max())
    return worst if worst == worst else float("inf")


def one(layer, work):
    """How far off y is, and what is wrong."""
    wrong, worst, bits, wanted = set(), 0.0, None, layer.reference(work)
    for _ in range(RUNS):
        for memory in work.written.values():
            memory.poison()
        layer.run(work)
        torch.cuda.synchronize()
        wrong.update(f"written outside of {name}" for name, m in work.written.items() if not m.intact())
        if bits is not None and not torch.equal(bits, work.result.inside):
            wrong.add("y differs between runs")
        bits = work.result.inside.clone()
        worst = max(worst, difference(work.y, wanted))
    if worst > TOLERANCE:
        wrong.add(f"y is off by {worst:.1e}")
    return worst, sorted(wrong)


def check(layer, tokens):
    """A row of the report: all routings."""
    found = {kind: one(layer, layer.work(kind, tokens, seed)) for seed, kind in enumerate(ROUTINGS)}
    return {"cases": len(found), "worst": max(worst for worst, _ in found.values()),
            "wrong": [f"{kind}: {problem}" for kind, (_, problems) in found.items() for problem in problems]}
