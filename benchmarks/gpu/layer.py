# ===- layer.py - A layer of a model on the device -------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A layer of a model in PyTorch's memory: random weights, routings as our kernels
take them, what they write to, and what it should be."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kernels import MAPS, Kernels

# A NaN that no computation makes, in what is still to be written and in the rows
# before and behind it that have to stay as they are.
POISON, GUARD_ROWS = 0x7FA5, 4


@dataclass
class Routing:
    """T tokens with K slots each, A of which have an expert."""

    experts: torch.Tensor  # [T, K], -1 where there is none
    weights: torch.Tensor  # [T, K] in f32
    order: torch.Tensor  # [A], the slots (t * K + k) in the order of their experts
    gather: torch.Tensor  # [A], their tokens
    offsets: torch.Tensor  # [E + 1], the first row of each expert
    positions: torch.Tensor  # [T, K], the row of each slot, or -1

    @property
    def tokens(self):
        return len(self.experts)

    @property
    def count(self):
        return len(self.order)


def route(experts, weights, number):
    """What our kernels, and peers, take for granted; outside of what is timed."""
    flat = experts.flatten()
    count = int((flat >= 0).sum())
    order = torch.argsort(torch.where(flat < 0, number, flat), stable=True)[:count]
    offsets = torch.zeros(number + 1, dtype=torch.int32, device=flat.device)
    offsets[1:] = torch.bincount(flat[order], minlength=number).cumsum(0)
    positions = torch.full_like(flat, -1, dtype=torch.int32)
    positions[order] = torch.arange(count, dtype=torch.int32, device=flat.device)
    gather = (order // experts.shape[1]).int()
    return Routing(experts, weights.contiguous(), order, gather, offsets, positions.view(experts.shape))


class Guarded:
    """A matrix in bf16 with rows around it that nobody may write to."""

    def __init__(self, rows, columns, device):
        self.whole = torch.empty(rows + 2 * GUARD_ROWS, columns, dtype=torch.int16, device=device)
        self.inside = self.whole[GUARD_ROWS:GUARD_ROWS + rows].view(torch.bfloat16)
        self.poison()

    def poison(self):
        self.whole.fill_(POISON)

    def intact(self):
        return bool((self.whole[:GUARD_ROWS] == POISON).all() and (self.whole[-GUARD_ROWS:] == POISON).all())


@dataclass
class Work:
    """A call of a layer: its input, and what it writes to."""

    x: torch.Tensor
    routing: Routing
    h: Guarded
    rows: Guarded
    y: Guarded
    addresses: dict
    kept: list  # alive as long as their addresses

    @property
    def written(self):
        return {"h": self.h, "rows": self.rows, "y": self.y}

    def results(self):
        """Those rows that have to be written."""
        count = self.routing.count
        return {"h": self.h.inside[:count], "rows": self.rows.inside[:count], "y": self.y.inside}


class Layer:
    def __init__(self, driver, path, shape, device="cuda"):
        self.driver, self.shape, self.device = driver, shape, device
        self.kernels = Kernels(driver, path, shape)
        random = torch.Generator(device).manual_seed(1)

        def weights(*sizes):
            values = torch.empty(sizes, dtype=torch.bfloat16, device=device)
            return values.normal_(std=1 / math.sqrt(sizes[-1]), generator=random)

        self.gate_up = weights(shape.experts, 2 * shape.inner, shape.hidden)
        self.down = weights(shape.experts, shape.hidden, shape.inner)

    def work(self, x, routing):
        rows = max(routing.count, 1)
        h, out, y = (Guarded(n, columns, self.device) for n, columns in (
            (rows, self.shape.inner), (rows, self.shape.hidden), (routing.tokens, self.shape.hidden)))
        named = {"w_gate_up": self.gate_up, "w_down": self.down, "x": x, "gather": routing.gather,
                 "offsets": routing.offsets, "positions": routing.positions, "weights": routing.weights,
                 "h": h.inside, "rows": out.inside, "y": y.inside}
        addresses = {name: tensor.data_ptr() for name, tensor in named.items()}
        maps = {name: torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
                for name, data in self.kernels.maps(addresses, routing.count, MAPS).items()}
        addresses.update((name, tensor.data_ptr()) for name, tensor in maps.items())
        return Work(x, routing, h, out, y, addresses, [named, maps])

    def stream(self):
        return torch.cuda.current_stream().cuda_stream if self.device == "cuda" else 0

    def run(self, work, path):
        self.kernels.layer(path, work.addresses, work.routing.tokens, self.stream())

    def launch(self, work, name):
        self.kernels.launch(name, work.addresses, work.routing.tokens, self.stream())

    def reference(self, x, routing):
        """The same in f64, but with h in bf16 where it is multiplied."""
        count, offsets = routing.count, routing.offsets.tolist()
        h = torch.empty(count, self.shape.inner, dtype=torch.float64, device=self.device)
        rows = torch.empty(count, self.shape.hidden, dtype=torch.float64, device=self.device)
        for expert, (begin, end) in enumerate(zip(offsets, offsets[1:])):
            if begin == end:
                continue
            own = x[routing.gather[begin:end].long()].double()
            gate, up = (own @ self.gate_up[expert].double().T).chunk(2, -1)
            h[begin:end] = F.silu(gate) * up
            rows[begin:end] = h[begin:end].bfloat16().double() @ self.down[expert].double().T
        y = torch.zeros(routing.tokens, self.shape.hidden, dtype=torch.float64, device=self.device)
        weights = routing.weights.flatten()[routing.order].double()
        y.index_add_(0, routing.gather.long(), rows * weights[:, None])
        return {"h": h, "rows": rows, "y": y}


def random_routing(kind, tokens, shape, seed, device="cuda"):
    """A routing that is random, or one that is hard on kernels."""
    g = torch.Generator(device).manual_seed(seed)
    number, slots = shape.experts, shape.slots
    weights = torch.rand(tokens, slots, device=device, generator=g)
    random = torch.rand(tokens, number, device=device, generator=g)
    if kind == "zipf":
        # Experts without replacement, the n-th one 1 / n as likely as the first.
        noise = -torch.log(-torch.log(random.clamp(1e-7, 1 - 1e-7)))
        random = noise - torch.arange(1, number + 1, device=device).log()
    experts = random.topk(slots).indices
    if kind == "same":
        experts = torch.arange(slots, device=device).repeat(tokens, 1)
    elif kind == "holes":
        holes = torch.rand(tokens, slots, device=device, generator=g) < 0.5
        experts = experts.masked_fill(holes, -1)
    elif kind in ("last", "none"):
        experts = torch.full((tokens, slots), -1, device=device)
        if kind == "last":
            experts[-1, 0] = number - 1
    return route(experts, weights, number)


ROUTINGS = ("random", "zipf", "same", "holes", "last", "none")
