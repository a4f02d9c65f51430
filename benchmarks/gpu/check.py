# ===- check.py - Whether kernels compute what they should -----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Our kernels beside a reference in f64, on routings that are hard on them."""

import torch

from kernels import PATHS
from layer import ROUTINGS, random_routing

# Of a row's largest element. Rounding to bf16 is 4e-3; rows are of rounded h, and y
# is of rounded rows. A step of 16 that is left out of a product is 5e-2 or more.
TOLERANCE = {"h": 5e-3, "rows": 1e-2, "y": 2e-2}
RUNS = 2  # whose bits have to be the same


def difference(found, wanted):
    """The largest of a row's elements, by the row's largest."""
    if not wanted.numel():
        return 0.0
    largest = wanted.abs().amax(1).clamp(min=1e-30)
    worst = float(((found.double() - wanted).abs().amax(1) / largest).max())
    return worst if worst == worst else float("inf")


def one(layer, path, work, wanted):
    """The differences of a routing, and what else is wrong."""
    wrong, differences, bits = set(), {}, None
    for _ in range(RUNS):
        for buffer in work.written.values():
            buffer.poison()
        layer.run(work, path)
        layer.driver.synchronize()
        wrong.update(f"{name} written outside" for name, b in work.written.items() if not b.intact())
        results = work.results()
        if bits is not None:
            wrong.update(f"{n} differs between runs" for n, b in bits.items()
                         if not torch.equal(b, results[n].view(torch.int16)))
        bits = {n: r.view(torch.int16).clone() for n, r in results.items()}
        for name, result in results.items():
            differences[name] = max(differences.get(name, 0), difference(result, wanted[name]))
    wrong.update(f"{n} is off by {d:.1e}" for n, d in differences.items() if d > TOLERANCE[n])
    return differences, sorted(wrong)


def check(layer, tokens):
    """A row of the report: all routings by all kernels."""
    worst, wrong, cases = dict.fromkeys(TOLERANCE, 0.0), [], 0
    for seed, kind in enumerate(ROUTINGS):
        routing = random_routing(kind, tokens, layer.shape, seed, layer.device)
        g = torch.Generator(layer.device).manual_seed(100 + seed)
        x = torch.randn(tokens, layer.shape.hidden, device=layer.device, generator=g).bfloat16()
        wanted, work = layer.reference(x, routing), layer.work(x, routing)
        for path in PATHS:
            differences, problems = one(layer, path, work, wanted)
            cases += 1
            worst = {n: max(w, differences[n]) for n, w in worst.items()}
            wrong += [f"{kind}, {path}: {problem}" for problem in problems]
    return {"cases": cases, "worst": worst, "wrong": wrong}
