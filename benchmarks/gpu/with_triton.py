# ===- with_triton.py - A fused MoE layer in Triton, as servers have it ----===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A layer in Triton in the style of the servers for language models: each expert's
slots are padded to whole blocks of rows, a program multiplies such a block and
gathers its rows itself; the activation and the sum over slots are kernels of
their own. Tuned for each model and number of tokens."""

from dataclasses import asdict, dataclass

import torch
import triton
import triton.language as tl

from timing import timed
from with_torch import Peer


@triton.jit
def grouped_product(rows, weights, out, ids, block_experts, padded, scale, n, k, slots, valid,
                    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
                    SCALED: tl.constexpr, WHOLE: tl.constexpr):
    """out[id] = rows[id // slots] @ weights[expert of id].T, for ids below `valid`."""
    # GROUP_M blocks of rows go through the columns together, for the cache.
    number = tl.program_id(0)
    row_blocks = tl.load(padded) // BLOCK_M
    column_blocks = tl.cdiv(n, BLOCK_N)
    if number >= row_blocks * column_blocks:
        return
    in_group = GROUP_M * column_blocks
    first = number // in_group * GROUP_M
    height = min(row_blocks - first, GROUP_M)
    row_block = first + number % in_group % height
    column_block = number % in_group // height

    own = tl.load(ids + row_block * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    present = own < valid
    expert = tl.load(block_experts + row_block).to(tl.int64)
    columns = column_block * BLOCK_N + tl.arange(0, BLOCK_N)
    depth = tl.arange(0, BLOCK_K)
    from_rows = rows + (own // slots)[:, None] * k + depth[None, :]
    from_weights = weights + expert * n * k + (columns % n)[None, :] * k + depth[:, None]
    sums = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, tl.cdiv(k, BLOCK_K)):
        if WHOLE:
            a = tl.load(from_rows, mask=present[:, None], other=0.0)
            b = tl.load(from_weights)
        else:
            left = depth < k - step * BLOCK_K
            a = tl.load(from_rows, mask=present[:, None] & left[None, :], other=0.0)
            b = tl.load(from_weights, mask=left[:, None], other=0.0)
        sums = tl.dot(a, b, sums)
        from_rows += BLOCK_K
        from_weights += BLOCK_K
    if SCALED:
        sums *= tl.load(scale + own, mask=present, other=0.0)[:, None]
    tl.store(out + own[:, None] * n + columns[None, :], sums.to(out.dtype.element_ty),
             mask=present[:, None] & (columns < n)[None, :])


@triton.jit
def silu_and_mul(both, h, inner, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < inner
    gate = tl.load(both + row * 2 * inner + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * 2 * inner + inner + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(h + row * inner + columns, (gate * tl.sigmoid(gate) * up).to(h.dtype.element_ty), mask=inside)


@triton.jit
def sum_slots(rows, y, hidden, SLOTS: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < hidden
    sums = tl.zeros((BLOCK,), tl.float32)
    for slot in tl.static_range(SLOTS):
        sums += tl.load(rows + (token * SLOTS + slot) * hidden + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + token * hidden + columns, sums.to(y.dtype.element_ty), mask=inside)


ELEMENTWISE_BLOCK = 1024


@dataclass(frozen=True)
class Config:
    block_m: int
    block_n: int
    block_k: int
    group_m: int
    warps: int
    stages: int


# For up to FEW_ROWS rows an expert, and for more.
FEW_ROWS = 16
FEW = [Config(*c) for c in (
    (16, 64, 64, 1, 4, 5), (16, 64, 128, 1, 4, 4), (16, 128, 64, 1, 4, 5), (16, 128, 128, 1, 4, 4),
    (16, 128, 128, 1, 8, 3), (32, 64, 128, 1, 4, 4))]
MANY = [Config(*c) for c in (
    (32, 128, 64, 16, 4, 4), (64, 128, 64, 1, 4, 4), (64, 128, 64, 16, 4, 4), (64, 256, 64, 16, 8, 3),
    (128, 64, 64, 16, 4, 4), (128, 128, 64, 1, 8, 4), (128, 128, 64, 16, 8, 4), (128, 256, 64, 1, 8, 3),
    (128, 256, 64, 16, 8, 4), (128, 256, 32, 32, 8, 5))]


def align(experts, number, block):
    """Slots (t * K + k) in the order of their experts, each expert padded to whole
    blocks by T * K; the expert of each block; and how many there are, padded. The
    size is what it is at most, as it is where the routing is not known."""
    flat = experts.flatten().long()
    most = flat.numel() + number * (block - 1)
    if flat.numel() < number:
        most = min(most, flat.numel() * block)
    most = triton.cdiv(most, block) * block
    order = torch.argsort(torch.where(flat < 0, number, flat), stable=True)[:int((flat >= 0).sum())]
    ordered = flat[order]
    counts = torch.bincount(ordered, minlength=number)
    ends = ((counts + block - 1) // block * block).cumsum(0)
    before = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=flat.device) - before[ordered]
    start = ends - (counts + block - 1) // block * block
    ids = torch.full((most,), flat.numel(), dtype=torch.int32, device=flat.device)
    ids[start[ordered] + rank] = order.int()
    blocks = torch.arange(0, most, block, device=flat.device)
    block_experts = torch.searchsorted(ends, blocks, right=True).clamp(max=number - 1).int()
    return ids, block_experts, ends[-1:].int()


class Triton(Peer):
    name = "triton"
    models = ("OLMoE-1B-7B", "Mixtral-8x7B", "Qwen3-30B-A3B")

    def __init__(self, layer, works, config=None):
        super().__init__(layer, works)
        self.weights, self.shape, self.aligned, self.failures = layer, layer.shape, {}, {}
        tokens, slots = works[0].routing.indices.shape
        shape, count = self.shape, tokens * slots

        def empty(*sizes):
            return torch.empty(sizes, dtype=torch.bfloat16, device=layer.place)

        self.both, self.h = empty(count, 2 * shape.inner), empty(count, shape.inner)
        self.rows, self.y = empty(count, shape.hidden), empty(tokens, shape.hidden)
        self.config = config or self.tune(FEW if count <= FEW_ROWS * shape.experts else MANY)

    def about(self):
        return {"config": asdict(self.config), "failed_configs": self.failures}

    def tune(self, configs):
        """The quickest for the two products; both want the same blocks of rows."""
        def products(config):
            def both(i):
                self.gate_up(i, config)
                self.down(i, config)
            return both

        candidates = {}
        for config in configs:
            try:
                products(config)(0)
                torch.cuda.synchronize()
                candidates[config] = products(config)
            except triton.runtime.errors.OutOfResources as error:
                self.failures[str(config)] = str(error).splitlines()[0]
        times, _ = timed(candidates, len(self.works), seconds=1)
        return min(times, key=times.get)

    def product(self, i, config, rows, weights, out, scale, slots):
        indices = self.works[i].routing.indices
        if (i, config.block_m) not in self.aligned:
            self.aligned[i, config.block_m] = align(indices, self.shape.experts, config.block_m)
        ids, block_experts, padded = self.aligned[i, config.block_m]
        n, k = weights.shape[1:]
        grid = (len(block_experts) * triton.cdiv(n, config.block_n),)
        grouped_product[grid](
            rows, weights, out, ids, block_experts, padded, self.works[i].routing.weights, n, k, slots,
            indices.numel(), BLOCK_M=config.block_m, BLOCK_N=config.block_n, BLOCK_K=config.block_k,
            GROUP_M=config.group_m, SCALED=scale, WHOLE=k % config.block_k == 0, num_warps=config.warps,
            num_stages=config.stages)

    def gate_up(self, i, config=None):
        self.product(i, config or self.config, self.x[i], self.weights.gate_up, self.both, False,
                     self.shape.slots)

    def down(self, i, config=None):
        self.product(i, config or self.config, self.h, self.weights.down, self.rows, True, 1)

    def layer(self, i):
        shape, block = self.shape, ELEMENTWISE_BLOCK
        self.gate_up(i)
        silu_and_mul[len(self.h), triton.cdiv(shape.inner, block)](self.both, self.h, shape.inner, BLOCK=block)
        self.down(i)
        sum_slots[len(self.y), triton.cdiv(shape.hidden, block)](self.rows, self.y, shape.hidden,
                                                                 SLOTS=shape.slots, BLOCK=block)
        return self.y


PEERS = [Triton]
