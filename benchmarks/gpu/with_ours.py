# ===- with_ours.py - Our layer of the same weights in bf16 -----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What weights in a format are beside: our layer of the same weights in bf16, of the
artifact MODEL beside MODEL.FORMAT."""

from artifact import Artifact, format_of
from layer import Guarded
from with_torch import Peer

import torch


class Plain(Peer):
    """In bf16. `layer` has the whole call, lists and the rounding of x, too."""

    name = "bf16"

    @classmethod
    def fits(cls, layer, model):
        name = model.rpartition(".")[0]
        return bool(format_of(model)) and (layer.artifact.folder / f"{name}.so").is_file()

    def __init__(self, layer, works):
        super().__init__(layer, works)
        own = layer.artifact
        self.artifact = Artifact(own.device, own.folder, own.model.rpartition(".")[0])
        self.given = {"experts.gate_up": layer.gate_up, "experts.down_proj": layer.down, **layer.biases}
        self.y = [torch.empty_like(work.x) for work in works]
        self.workspaces = [Guarded(self.artifact.workspace_bytes(len(work.x)), layer.place) for work in works]
        for i in range(len(works)):
            self.layer(i)

    def call(self, i, **how):
        work, memory = self.works[i], self.workspaces[i].inside
        tensors = {"x": work.x, "routing.indices": work.routing.indices, "routing.weights": work.routing.weights,
                   "y": self.y[i], **self.given}
        self.artifact.call(work.routing.tokens, {name: t.data_ptr() for name, t in tensors.items()},
                           memory.data_ptr(), memory.numel(), stream=torch.cuda.current_stream().cuda_stream, **how)
        return self.y[i]

    def gate_up(self, i):
        self.call(i, parts=["gate_up"])

    def down(self, i):
        self.call(i, parts=["down"])

    def layer(self, i):
        return self.call(i)


PEERS = [Plain]
