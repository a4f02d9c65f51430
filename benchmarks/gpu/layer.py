# ===- layer.py - A layer of a model on the device -------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A layer of a model in PyTorch's memory: random weights, routings, what a call
writes to, and what it should be."""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from artifact import Artifact, format_of, rows_of
from weights import Plain, Stored

# What is still to be written is NaN, of any type, and the bytes before and behind it,
# which have to stay as they are, are nothing that a layer would write.
POISON, GUARD, GUARD_BYTES = 0xFF, 0xA5, 4096


@dataclass
class Routing:
    """T tokens with K slots each, A of which have an expert. Layers take `indices` and
    `weights`, and find out the rest, which peers are given."""

    indices: torch.Tensor  # [T, K] in i32, -1 where there is no expert
    weights: torch.Tensor  # [T, K] in f32
    order: torch.Tensor  # [A], the slots (t * K + k) in the order of their experts
    gather: torch.Tensor  # [A], their tokens
    offsets: torch.Tensor  # [E + 1] in i32, the first row of each expert

    @property
    def tokens(self):
        return len(self.indices)

    @property
    def count(self):
        return len(self.order)


def route(indices, weights, number):
    """What has no expert of that number has none."""
    flat = indices.flatten().long()
    has = (flat >= 0) & (flat < number)
    order = torch.argsort(torch.where(has, flat, number), stable=True)[:int(has.sum())]
    offsets = torch.zeros(number + 1, dtype=torch.int32, device=flat.device)
    offsets[1:] = torch.bincount(flat[order], minlength=number).cumsum(0)
    return Routing(indices.int().contiguous(), weights.contiguous(), order, order // indices.shape[1], offsets)


class Guarded:
    """Memory for a call to write to, and around it some that nobody may write to."""

    def __init__(self, size, device):
        self.whole = torch.empty(size + 2 * GUARD_BYTES, dtype=torch.uint8, device=device)
        self.whole.fill_(GUARD)
        self.inside = self.whole[GUARD_BYTES:GUARD_BYTES + size]
        self.poison()

    def poison(self):
        self.inside.fill_(POISON)

    def intact(self):
        ends = self.whole[:GUARD_BYTES], self.whole[-GUARD_BYTES:]
        return all(bool((end == GUARD).all()) for end in ends)


@dataclass
class Work:
    """A call of a layer: its input, and what it writes to."""

    x: torch.Tensor  # [T, H] in f32
    routing: Routing
    result: Guarded
    workspace: Guarded

    @property
    def y(self):
        return self.result.inside.view(torch.float32).view(self.x.shape)

    @property
    def written(self):
        return {"y": self.result, "the workspace": self.workspace}


def clamped_swiglu(gate, up, alpha=1.702, limit=7.0, offset=1.0):
    """The activation of gpt-oss, the one model here that has biases."""
    gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return gate * torch.sigmoid(alpha * gate) * (up + offset)


class Layer:
    def __init__(self, device, folder, model, place="cuda"):
        self.artifact, self.place = Artifact(device, folder, model), place
        self.shape = shape = self.artifact.shape
        random = torch.Generator(place).manual_seed(1)

        def weights(name, *sizes):
            if format_of(model):
                return Stored(format_of(model), self.artifact.packed[name], place, random)
            return Plain(sizes, place, random)

        self.weights = {
            "experts.gate_up": weights("experts.gate_up", shape.experts, 2 * shape.inner, shape.hidden),
            "experts.down_proj": weights("experts.down_proj", shape.experts, shape.hidden, shape.inner)}
        self.biases = {name: torch.randn(sizes, device=place, generator=random) / 2
                       for name, sizes in self.artifact.biases.items()}

    # In bf16, for peers: [experts, 2 * inner, hidden] and [experts, hidden, inner].
    @cached_property
    def gate_up(self):
        return self.weights["experts.gate_up"].whole()

    @cached_property
    def down(self):
        return self.weights["experts.down_proj"].whole()

    @property
    def expert_bytes(self):
        """That the kernels read of an expert."""
        return sum(weights.nbytes for weights in self.weights.values()) // self.shape.experts

    def work(self, kind, tokens, seed):
        """A call with random input and a routing of a kind."""
        x = torch.randn(tokens, self.shape.hidden, device=self.place,
                        generator=torch.Generator(self.place).manual_seed(1000 + seed))
        return Work(x, random_routing(kind, tokens, self.shape, seed, self.place),
                    Guarded(x.numel() * x.element_size(), self.place),
                    Guarded(self.artifact.workspace_bytes(tokens), self.place))

    def run(self, work, **how):
        """Calls the layer, on PyTorch's stream; see Device.call for `how`."""
        tensors = {"x": work.x, "routing.indices": work.routing.indices, "routing.weights": work.routing.weights,
                   "y": work.y, **{name: weights.data for name, weights in self.weights.items()}, **self.biases}
        return self.artifact.call(work.routing.tokens, {name: t.data_ptr() for name, t in tensors.items()},
                                  work.workspace.inside.data_ptr(), work.workspace.inside.numel(),
                                  stream=torch.cuda.current_stream().cuda_stream, **how)

    def quantizes(self, work):
        """Whether rows become E4M3 in this call: few stay bf16. The kernel that does so says it."""
        return bool(rows_of(self.artifact.model)) and any(
            name.endswith("_rows") for name in self.run(work, noting=True))

    def reference(self, work):
        """y in f64, of what is multiplied: x and h in bf16 or E4M3, and the rows of experts
        in bf16. Weights in a format are what they stand for."""
        quantizes = self.quantizes(work)

        def rounded(values):
            return values.bfloat16().double()

        def multiplied(values):
            return quantized(values.bfloat16().float()) if quantizes else rounded(values)

        def bias(name, expert):
            return self.biases[f"experts.{name}_proj_bias"][expert].double()

        routing, x = work.routing, multiplied(work.x)
        rows = torch.empty(routing.count, self.shape.hidden, dtype=torch.float64, device=self.place)
        offsets = routing.offsets.tolist()
        down = self.weights["experts.down_proj"]
        for expert, (begin, end) in enumerate(zip(offsets, offsets[1:])):
            if begin == end:
                continue
            gate, up = (x[routing.gather[begin:end]] @ self.weights["experts.gate_up"].expert(expert).T).chunk(2, -1)
            if self.biases:
                h = multiplied(clamped_swiglu(gate + bias("gate", expert), up + bias("up", expert)))
                rows[begin:end] = rounded(h @ down.expert(expert).T + bias("down", expert))
            else:
                rows[begin:end] = rounded(multiplied(F.silu(gate) * up) @ down.expert(expert).T)
        weights = routing.weights.flatten()[routing.order].double()
        return torch.zeros_like(x).index_add_(0, routing.gather, rows * weights[:, None])


def quantized(rows, group=128, largest=448, least=2.0**-110):
    """In f64, as E4M3 with a scale for each group."""
    groups = rows.unflatten(-1, (-1, group))
    most = groups.abs().amax(-1, keepdim=True).clamp(min=least)
    # A division by a number would be a product with its inverse.
    largest = torch.full_like(most, largest)
    codes = (groups * (largest / most)).clamp(-largest, largest).to(torch.float8_e4m3fn)
    return (codes.double() * (most / largest).double()).flatten(-2)


def random_routing(kind, tokens, shape, seed, device):
    """A routing that is random, or one that is hard on a layer."""
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
    elif kind == "beyond":
        beyond = torch.tensor([-(1 << 31), -2, number, (1 << 31) - 1], device=device)
        beyond = beyond[torch.randint(4, experts.shape, device=device, generator=g)]
        experts = torch.where(torch.rand(tokens, slots, device=device, generator=g) < 0.5, beyond, experts)
    elif kind in ("last", "none"):
        experts = torch.full((tokens, slots), -1, device=device)
        if kind == "last":
            experts[-1, 0] = number - 1
    return route(experts, weights, number)


ROUTINGS = ("random", "zipf", "same", "holes", "beyond", "last", "none")
