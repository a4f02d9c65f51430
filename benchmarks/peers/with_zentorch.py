# ===- with_zentorch.py - AMD's fused MoE operation ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""zentorch's fused operation, which vLLM takes on AMD's CPUs."""

from peer import Unavailable
from with_torch import FusedOperation, torch


class Zentorch(FusedOperation):
    name = "zentorch"

    @classmethod
    def version(cls):
        super().version()
        try:
            import zentorch
        except (ImportError, OSError) as error:
            raise Unavailable(str(error)) from None
        if not hasattr(torch.ops.zentorch, "zentorch_fused_moe"):
            raise Unavailable(f"zentorch {zentorch.__version__} has no zentorch_fused_moe")
        return zentorch.__version__

    def __init__(self, layer, threads):
        super().__init__(layer, threads)
        # It packs them in place when they are first used.
        torch.ops.zentorch.zentorch_flush_moe_weight_cache()
        self.gate_up, self.down = self.gate_up.clone(), self.down.clone()
        self.operation = torch.ops.zentorch.zentorch_fused_moe


PEERS = [Zentorch]
