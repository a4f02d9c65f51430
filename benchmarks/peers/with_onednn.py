# ===- with_onednn.py - Current oneDNN, as PyTorch has it ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""oneDNN through PyTorch: packed weights, activations as post-operations."""

import re

from peer import Unavailable
from with_torch import Eager, torch


class OneDnn(Eager):
    """The loop over experts, of which oneDNN does every matrix product."""

    name = "onednn"
    copies = 1.0

    @classmethod
    def version(cls):
        super().version()
        found = re.search(r"(?:MKL-DNN|oneDNN) v([\d.]+)", torch.__config__.show())
        if not found or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            raise Unavailable(f"torch {torch.__version__} is built without oneDNN")
        return found[1]

    def __init__(self, layer, threads):
        super().__init__(layer, threads)
        bf16_fails = self.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if bf16_fails:
            raise Unavailable("oneDNN has no bf16 on this CPU")
        self.gates, self.ups, self.downs = (
            [torch.ops.mkldnn._reorder_linear_weight(w.contiguous(), None) for w in self[f"experts.{n}_proj"]]
            for n in ("gate", "up", "down"))

    def expert(self, e, rows):
        linear = torch.ops.mkldnn._linear_pointwise
        gate_bias, up_bias = (None, None) if self.gate_up_bias is None else self.gate_up_bias[e].chunk(2)
        down_bias = None if self.down_bias is None else self.down_bias[e]
        if self.spec.activation == "silu":
            gate = linear(rows, self.gates[e], gate_bias, "swish", [], "")
            hidden = linear.binary(rows, gate, self.ups[e], up_bias, "mul")
        else:
            hidden = self.activate(linear(rows, self.gates[e], gate_bias, "none", [], ""),
                                   linear(rows, self.ups[e], up_bias, "none", [], ""))
        return linear(hidden, self.downs[e], down_bias, "none", [], "")


PEERS = [OneDnn]
