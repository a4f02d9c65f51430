# ===- weights.py - Random weights on the device ----------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Random weights of all experts in PyTorch's memory, as the kernels read them, of a
variance of one by the length of a row."""

import math

import torch

from blocks import Packed

SIZES = {"f32": 4, "f16": 2, "bf16": 2, "f8E4M3FN": 1, "f8E8M0FNU": 1}


class Plain:
    """In bf16, [experts, rows, k]."""

    def __init__(self, sizes, place, random):
        self.data = torch.empty(sizes, dtype=torch.bfloat16, device=place)
        self.data.normal_(std=1 / math.sqrt(sizes[-1]), generator=random)
        self.nbytes = self.data.nbytes

    def whole(self):
        return self.data

    def expert(self, number):
        return self.data[number].double()


def floats(count, said, k, place, random):
    """Bytes of numbers in the range that the manifest says."""
    values = torch.rand(count, device=place, generator=random) * 2 - 1
    values = said["center"] + said["spread"] * values
    if said["has_size"]:
        values /= math.sqrt(k)
    if said["dtype"] == "f8E8M0FNU":
        return (values.log2().round() + 127).clamp(0, 254).to(torch.uint8)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
             "f8E4M3FN": torch.float8_e4m3fn}[said["dtype"]]
    return values.to(dtype).view(torch.uint8)


class Stored:
    """In a format, packed as the manifest says."""

    def __init__(self, name, packed, place, random):
        self.name, self.packed = name, Packed.of(packed)
        self.data = torch.randint(256, self.packed.shape, dtype=torch.uint8, device=place, generator=random)
        self.nbytes = self.data.nbytes
        for field, offset in self.packed.offsets():
            if "range" not in field:
                continue
            own = self.data[..., offset:offset + field["bytes"] * self.packed.columns]
            count = own.numel() // SIZES[field["range"]["dtype"]]
            own.copy_(floats(count, field["range"], self.packed.k, place, random).view(own.shape))

    def whole(self):
        return torch.stack([self.expert(e).bfloat16() for e in range(self.packed.experts)])

    def expert(self, number):
        return self.packed.decode(torch, self.name, self.data[number].double())
