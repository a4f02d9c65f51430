# ===- _quantize.py - Storing experts in fewer bits ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Converts the matrices of a module by moe-quantize."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path
from typing import Any, Dict, Mapping

import torch

from .. import _safetensors, _tools
from .._errors import Error
from ._ir import Spec, experts_ir

__all__ = ["canonical", "stored"]

_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}


def canonical(tensors: Mapping[str, torch.Tensor], transposed: bool, concatenated: bool) -> Dict[str, torch.Tensor]:
    """The parameters of a module as [E, 2 I, H] (gate rows first) and [E, H', I]."""
    found = {}
    for name, tensor in tensors.items():
        if transposed and tensor.dim() == 3:
            tensor = tensor.transpose(1, 2)
        if name.startswith("gate_up") and not concatenated:
            tensor = torch.cat([tensor[:, ::2], tensor[:, 1::2]], dim=1)
        found[name] = tensor.contiguous()
    return found


def _bytes(tensor: torch.Tensor) -> memoryview:
    array: Any = tensor.view(-1).view(torch.uint8).numpy()
    return memoryview(array)


def stored(tensors: Mapping[str, torch.Tensor], spec: Spec) -> Dict[str, torch.Tensor]:
    """`tensors`, as canonical() gives them, with matrices in the blocks of `spec.stored`.

    Matrices [E, N, K] become uint8 [E, N, K / weights of a block, bytes of a block].
    """
    assert spec.stored is not None
    matrices = {name: tensor for name, tensor in tensors.items() if tensor.dim() == 3}
    plain = dataclasses.replace(spec, stored=None, rows="f32", weights="f32", bias=False, norm_eps=None)
    found = dict(tensors)
    with tempfile.TemporaryDirectory(prefix="moe-mlir-") as name:
        folder = Path(name)
        (folder / "plain.mlir").write_text(experts_ir(plain), encoding="utf-8")
        written = [(key, _NAMES[tensor.dtype], tuple(tensor.shape), _bytes(tensor))
                   for key, tensor in matrices.items()]
        _safetensors.write(folder / "plain.safetensors", written, {})
        try:
            _tools.run("moe-quantize", [folder / "plain.mlir", f"--inputs={folder / 'plain.safetensors'}",
                                        f"--to={spec.stored}", f"--threads={torch.get_num_threads()}", "-o",
                                        folder / "stored"])
        except Error as error:
            # The folder is gone when somebody reads this.
            raise Error(re.sub(re.escape(str(folder)) + r"/[\w.]+", "its weights", str(error))) from None
        header, memory = _safetensors.map_file(folder / "stored.safetensors")
        for key in matrices:
            tensor = header.tensors[key]
            blocks = torch.frombuffer(bytearray(memory[tensor.offset:tensor.offset + tensor.nbytes]), dtype=torch.int8)
            found[key] = blocks.view(tuple(tensor.shape))
    return found
