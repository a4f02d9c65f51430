# ===- with_torch.py - PyTorch's grouped products, and cuBLAS --------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""PyTorch's grouped products, and dense ones by cuBLAS."""

import torch
import torch.nn.functional as F


class Peer:
    """Another implementation, for a layer and calls of it. `gate_up` and `down` are
    the products alone, `layer` is all behind the router and returns y."""

    name = ""
    models = None  # these only

    def __init__(self, layer, works):
        self.works = works

    def about(self):
        """What the report says of it."""
        return {}

    def pieces(self):
        return {piece: getattr(self, piece) for piece in ("layer", "gate_up", "down") if hasattr(self, piece)}


class Grouped(Peer):
    """grouped_mm, on rows in the order of their experts."""

    name = "grouped_mm"

    def __init__(self, layer, works):
        super().__init__(layer, works)
        self.up_weights, self.down_weights = layer.gate_up.transpose(1, 2), layer.down.transpose(1, 2)
        self.gather = [w.routing.gather.long() for w in works]
        self.gathered = [w.x[gather] for w, gather in zip(works, self.gather)]
        self.ends = [w.routing.offsets[1:].contiguous() for w in works]
        self.scale = [w.routing.weights.flatten()[w.routing.order, None].bfloat16() for w in works]

    def gate_up(self, i):
        return torch._grouped_mm(self.gathered[i], self.up_weights, offs=self.ends[i])

    def down(self, i):
        return torch._grouped_mm(self.works[i].h.inside, self.down_weights, offs=self.ends[i])

    def layer(self, i):
        work = self.works[i]
        both = torch._grouped_mm(work.x[self.gather[i]], self.up_weights, offs=self.ends[i])
        gate, up = both.chunk(2, -1)
        rows = torch._grouped_mm(F.silu(gate) * up, self.down_weights, offs=self.ends[i])
        slots = torch.empty_like(rows)
        slots[work.routing.order] = rows * self.scale[i]
        return slots.view(*work.routing.experts.shape, -1).sum(1)


class Dense(Peer):
    """As if all rows were of one expert: what the chip does at best."""

    name = "dense"

    def __init__(self, layer, works):
        super().__init__(layer, works)
        count, shape = works[0].routing.count, layer.shape
        self.x = torch.randn(count, shape.hidden, device=layer.device).bfloat16()
        self.h = torch.randn(count, shape.inner, device=layer.device).bfloat16()
        self.up_weight, self.down_weight = layer.gate_up[0].T, layer.down[0].T

    def gate_up(self, _):
        return self.x @ self.up_weight

    def down(self, _):
        return self.h @ self.down_weight


PEERS = [Grouped, Dense]
