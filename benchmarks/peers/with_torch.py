# ===- with_torch.py - PyTorch's ways to run experts -----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""PyTorch: a loop over the experts, grouped_mm, and a bmm of gathered weights."""

from peer import Peer, Unavailable

try:
    import torch
    import torch.nn.functional as F
except (ImportError, OSError) as error:
    torch, problem = None, error


def tensor(array):
    """A view of a NumPy array; uint16 holds bf16."""
    found = torch.from_numpy(array)
    return found.view(torch.bfloat16) if found.dtype == torch.uint16 else found


class TorchPeer(Peer):
    """The router and the shared expert, around `experts` of the subclasses."""

    @classmethod
    def version(cls):
        if torch is None:
            raise Unavailable(str(problem))
        return torch.__version__

    def __init__(self, layer, threads):
        torch.set_num_threads(threads)
        self.spec = layer.spec
        if "torch" not in layer.cache:
            layer.cache["torch"] = {n: tensor(w) for n, w in layer.weights.items()}
        self.weights = layer.cache["torch"]
        self.gate_up, self.down = self["experts.gate_up"], self["experts.down_proj"]
        self.dtype = self.down.dtype
        # Biases are f32 in the model; these libraries want one type.
        self.gate_up_bias, self.down_bias = (
            None if self[n] is None else self[n].to(self.dtype)
            for n in ("experts.gate_up_bias", "experts.down_proj_bias"))

    def __getitem__(self, name):
        return self.weights.get(name)

    def take(self, x):
        x = torch.from_numpy(x)
        return x, x.to(self.dtype)

    def give(self, y):
        return y.float().numpy()

    def run(self, inputs):
        x, rows = inputs  # the router reads f32, as ours does
        with torch.inference_mode():
            y = self.experts(rows, *self.route(x))
            return y + self.shared(rows) if self.spec.shared_intermediate else y

    def route(self, x):
        """Chosen experts and their weights, [T, K] each."""
        spec = self.spec
        scores = F.linear(x, self["router.weight"], self["router.bias"])
        if spec.score == "softmax_before":
            scores = scores.softmax(-1)
        elif spec.score == "sigmoid":
            scores = scores.sigmoid()
        choice = scores + self["router.correction_bias"] if spec.correction_bias else scores
        if spec.groups > 1:
            grouped = choice.view(len(x), spec.groups, -1)
            best = grouped.topk(2).values.sum(-1).topk(spec.kept_groups, sorted=False).indices
            kept = torch.zeros(grouped.shape[:2], dtype=torch.bool).scatter_(1, best, True)
            choice = grouped.masked_fill(~kept[..., None], -torch.inf).view_as(choice)
        experts = choice.topk(spec.slots, sorted=False).indices
        weights = scores.gather(1, experts)
        if spec.score == "softmax_after":
            weights = weights.softmax(-1)
        if spec.renormalise:
            weights = weights / weights.sum(-1, keepdim=True)
        return experts, weights * spec.scale

    def activate(self, gate, up):
        if self.spec.activation == "silu":
            return F.silu(gate) * up
        gate, up = gate.clamp(max=7), up.clamp(-7, 7)
        return (up + 1) * gate * torch.sigmoid(1.702 * gate)

    def shared(self, rows):
        gate, up, down = (self[f"shared.{n}_proj"] for n in ("gate", "up", "down"))
        return F.linear(self.activate(F.linear(rows, gate), F.linear(rows, up)), down)

    def experts(self, rows, experts, weights):
        raise NotImplementedError

    def in_expert_order(self, experts):
        """Assignments sorted by expert, and how many each expert has."""
        flat = experts.flatten()
        return flat.argsort(stable=True), flat.bincount(minlength=self.spec.experts)


class Eager(TorchPeer):
    """Each expert's rows in turn."""

    name = "eager"

    def experts(self, rows, experts, weights):
        order, counts = self.in_expert_order(experts)
        tokens, scale = order // self.spec.slots, weights.flatten()[order, None].to(self.dtype)
        y, begin = torch.zeros_like(rows), 0
        for e, count in enumerate(counts.tolist()):
            if count:
                mine = tokens[begin:begin + count]
                y.index_add_(0, mine, self.expert(e, rows[mine]) * scale[begin:begin + count])
                begin += count
        return y

    def expert(self, e, rows):
        def bias(of):
            return None if of is None else of[e]
        hidden = self.activate(*F.linear(rows, self.gate_up[e], bias(self.gate_up_bias)).chunk(2, -1))
        return F.linear(hidden, self.down[e], bias(self.down_bias))


class Grouped(TorchPeer):
    """Two grouped products over rows in expert order."""

    name = "grouped_mm"

    @classmethod
    def version(cls):
        found = super().version()
        if not hasattr(F, "grouped_mm"):
            raise Unavailable(f"torch {found} has no grouped_mm")
        return found

    def experts(self, rows, experts, weights):
        order, counts = self.in_expert_order(experts)
        ends = counts.cumsum(0, dtype=torch.int32)

        def product(rows, matrices, bias):
            y = F.grouped_mm(rows, matrices.transpose(1, 2), offs=ends)
            return y if bias is None else y + bias.repeat_interleave(counts, 0)

        both = product(rows[order // self.spec.slots], self.gate_up, self.gate_up_bias)
        sorted_y = product(self.activate(*both.chunk(2, -1)), self.down, self.down_bias)
        y = torch.empty_like(sorted_y)
        y[order] = sorted_y * weights.flatten()[order, None].to(self.dtype)
        return y.view(len(rows), self.spec.slots, -1).sum(1)


class Batched(TorchPeer):
    """The weights of each assignment gathered, for one product of batches."""

    name = "batched_mm"

    def call_bytes(self, tokens):
        return tokens * self.spec.slots * (self.gate_up[0].nbytes + self.down[0].nbytes)

    def experts(self, rows, experts, weights):
        flat = experts.flatten()

        def product(rows, matrices, bias):
            y = torch.bmm(matrices[flat], rows[..., None])[..., 0]
            return y if bias is None else y + bias[flat]

        both = product(rows.repeat_interleave(self.spec.slots, 0), self.gate_up, self.gate_up_bias)
        y = product(self.activate(*both.chunk(2, -1)), self.down, self.down_bias)
        return (y.view(len(rows), self.spec.slots, -1) * weights[..., None].to(self.dtype)).sum(1)


class FusedOperation(TorchPeer):
    """What operations with vLLM's interface have in common. The activation with
    clamps wants rows of gate and up side by side."""

    copies = 1.0
    operation = None

    def __init__(self, layer, threads):
        super().__init__(layer, threads)
        self.activation = "silu"
        if self.spec.activation != "silu":
            self.activation = "swigluoai"
            self.gate_up, self.gate_up_bias = (
                None if both is None else both.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
                for both in (self.gate_up, self.gate_up_bias))

    def experts(self, rows, experts, weights):
        y = torch.empty_like(rows)
        self.operation(y, rows, self.gate_up, self.down, self.gate_up_bias, self.down_bias, weights,
                       experts.int(), False, self.activation)
        return y


PEERS = [Eager, Grouped, Batched]
