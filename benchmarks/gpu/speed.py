# ===- speed.py - Layers beside other implementations ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Times a layer, ours beside other implementations, in the same run."""

import importlib

import torch

from artifact import is_of
from check import difference
from timing import timed

# Different inputs and routings in turn, so that weights come from memory.
CALLS = 4
# Of a token's largest element: peers round to bf16 more often than we do.
TOLERANCE = 1e-1
# Our kernels that peers have, too, and those that do what they are given: the rows of
# each expert, in bf16.
SORTED, GIVEN = ("gate_up", "down", "combine"), ("index", "elementwise")


def find_peer(name, module):
    """Its class, or why it is not to be had."""
    try:
        module = importlib.import_module(module)
    except ImportError as error:
        return None, str(error)
    return next(p for p in module.PEERS if p.name == name), ""


def our_pieces(layer, works, kernels):
    """The layer, what it does behind what peers are given, and its parts. What is left
    out of a call has run before in the same workspace, where lists of rows stay."""
    def some(*parts):
        return lambda i: layer.run(works[i], parts=parts)

    parts = {part: some(part) for part in (*GIVEN, *SORTED) if any(is_of(k, [part]) for k in kernels)}
    return {"layer": lambda i: layer.run(works[i]), "sorted": some(*SORTED), **parts}


def speed(layer, model, tokens, peers, routing="random"):
    """A row of the report: microseconds of each piece of each implementation.
    `peers` says which module has which."""
    works = [layer.work(routing, tokens, seed) for seed in range(CALLS)]
    for work in works:
        kernels = layer.run(work, noting=True)
    torch.cuda.synchronize()
    pieces = {f"ours.{piece}": f for piece, f in our_pieces(layer, works, kernels).items()}
    ours = works[0].y.double()

    about, notes, differences = {}, [], {}
    for name, module in peers.items():
        cls, reason = find_peer(name, module)
        if cls is None or not cls.fits(layer, model):
            notes += [f"{name}: left out: {reason}"] if reason else []
            continue
        try:
            peer = cls(layer, works)
            if hasattr(peer, "layer"):
                differences[name] = difference(peer.layer(0), ours)
        except Exception as error:  # the others go on, unless the device is lost
            torch.cuda.synchronize()
            notes.append(f"{name}: failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
            continue
        about[name] = peer.about()
        if differences.get(name, 0) > TOLERANCE:
            notes.append(f"{name}: not timed: differs from ours by {differences[name]:.1e}")
            continue
        pieces |= {f"{name}.{piece}": f for piece, f in peer.pieces().items()}
    times, repeats = timed(pieces, CALLS)
    count = works[0].routing.count
    used = sum(int((w.routing.offsets.diff() > 0).sum()) for w in works) / CALLS
    expert = 3 * layer.shape.hidden * layer.shape.inner
    return {"kernels": kernels, "routing": routing, "us": times, "repeats": repeats, "flops": 2 * count * expert,
            "weight_bytes": used * layer.expert_bytes, "differences": differences, "peers": about, "notes": notes}


def memory(device="cuda", size=1 << 30):
    """What the memory gives, in TB/s: copying, reads and writes counted, and reading."""
    a = torch.ones(size // 4, device=device)
    b = torch.empty_like(a)
    times, repeats = timed({"copy": lambda _: b.copy_(a), "read": lambda _: a.sum()}, 4)
    return {"us": times, "repeats": repeats, "copy_tbs": 2 * size / times["copy"] / 1e6,
            "read_tbs": size / times["read"] / 1e6}
