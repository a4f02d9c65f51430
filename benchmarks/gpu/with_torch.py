# ===- with_torch.py - PyTorch's grouped products, and cuBLAS --------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""PyTorch's grouped products, and dense ones by cuBLAS."""

import torch
import torch.nn.functional as F


class Peer:
    """Another implementation, for a layer and calls of it, x in bf16. `gate_up` and
    `down` are the products alone, `layer` is all behind sorting and returns y."""

    name = ""
    models = None  # these only

    def __init__(self, layer, works):
        self.works = works
        self.x = [work.x.bfloat16() for work in works]

    @classmethod
    def fits(cls, layer, model):
        return not cls.models or model in cls.models

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
        self.gathered = [x[w.routing.gather] for x, w in zip(self.x, works)]
        self.ends = [w.routing.offsets[1:].contiguous() for w in works]
        self.h = [self.hidden(rows, ends) for rows, ends in zip(self.gathered, self.ends)]
        self.scale = [w.routing.weights.flatten()[w.routing.order, None].bfloat16() for w in works]

    def hidden(self, rows, ends):
        gate, up = torch._grouped_mm(rows, self.up_weights, offs=ends).chunk(2, -1)
        return F.silu(gate) * up

    def gate_up(self, i):
        return torch._grouped_mm(self.gathered[i], self.up_weights, offs=self.ends[i])

    def down(self, i):
        return torch._grouped_mm(self.h[i], self.down_weights, offs=self.ends[i])

    def layer(self, i):
        routing = self.works[i].routing
        h = self.hidden(self.x[i][routing.gather], self.ends[i])
        rows = torch._grouped_mm(h, self.down_weights, offs=self.ends[i])
        slots = torch.empty_like(rows)
        slots[routing.order] = rows * self.scale[i]
        return slots.view(*routing.indices.shape, -1).sum(1)


class Dense(Peer):
    """As if all rows were of one expert: what the chip does at best."""

    name = "dense"

    def __init__(self, layer, works):
        super().__init__(layer, works)
        count, shape = works[0].routing.count, layer.shape
        self.rows = torch.randn(count, shape.hidden, device=layer.place).bfloat16()
        self.h = torch.randn(count, shape.inner, device=layer.place).bfloat16()
        self.up_weight, self.down_weight = layer.gate_up[0].T, layer.down[0].T

    def gate_up(self, _):
        return self.rows @ self.up_weight

    def down(self, _):
        return self.h @ self.down_weight


PEERS = [Grouped, Dense]
