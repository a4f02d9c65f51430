# ===- _tables.py - Tensors by name, from files ---------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Tensors as moe-run reads and writes them: .npy files that have their names, and
.safetensors files. For the programs that compute with them in NumPy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, NoReturn, Tuple

import numpy as np

from . import _safetensors
from ._errors import fail

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
           "BOOL": "?"}


class Parser(argparse.ArgumentParser):
    """Errors are one line, and the status 1, as of the other tools."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: error: {message} (--help shows what there is)\n")


def read_npy(path: Path) -> Any:
    """The array of a .npy file."""
    try:
        value = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        fail(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}; expected a .npy file")
    if not isinstance(value, np.ndarray):
        fail(f"{path}: holds several arrays; expected a .npy file")
    return value


def read_safetensors(path: Path) -> Dict[str, Tuple[str, Any]]:
    """(dtype of the file, array) of each tensor; BF16 becomes float32."""
    header, data = _safetensors.map_file(path)
    found = {}
    for name, tensor in header.tensors.items():
        kind = "<u2" if tensor.dtype == "BF16" else _DTYPES.get(tensor.dtype)
        if kind is None:
            continue
        array = np.frombuffer(data, np.dtype(kind), int(np.prod(tensor.shape, dtype=np.int64)), tensor.offset)
        if tensor.dtype == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        found[name] = (tensor.dtype, array.reshape(tensor.shape))
    return found


def read_all(paths: Any) -> Dict[str, Any]:
    """Tensors by name of .npy files, .safetensors files and folders of .npy files."""
    found: Dict[str, Any] = {}
    for path in map(Path, paths):
        if path.is_dir():
            own = {file.stem: read_npy(file) for file in sorted(path.glob("*.npy"))}
        elif path.suffix == ".safetensors":
            own = {name: array for name, (_, array) in read_safetensors(path).items()}
        else:
            own = {path.stem: read_npy(path)}
        for name, array in own.items():
            if name in found:
                fail(f"{path}: has {name!r}, which another file has, too")
            found[name] = array
    return found


def round_to(dtype: str, array: Any) -> Any:
    """`array` as float32 with the values that `dtype` of a file can hold, to nearest even."""
    array = np.ascontiguousarray(array, np.float32)
    if dtype == "BF16":
        bits = array.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return array.astype(np.float16).astype(np.float32) if dtype == "F16" else array


def _stored(dtype: str, array: Any) -> Any:
    if dtype == "BF16":
        return (round_to(dtype, array).view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(array, _DTYPES[dtype])


def write(target: Path, tensors: Dict[str, Tuple[str, Any]]) -> None:
    """Writes (dtype of the format, array) by name: a .safetensors file, one tensor as a .npy file, else a
    folder of .npy files. BF16 is float32 in .npy files, which have no such type."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".safetensors":
            stored = {name: (dtype, _stored(dtype, array)) for name, (dtype, array) in tensors.items()}
            _safetensors.write(target, [(name, dtype, array.shape, memoryview(array.reshape(-1).view(np.uint8)))
                                        for name, (dtype, array) in stored.items()], {})
            return
        arrays = {name: round_to(dtype, array) if dtype == "BF16" else _stored(dtype, array)
                  for name, (dtype, array) in tensors.items()}
        if target.suffix == ".npy":
            if len(arrays) != 1:
                fail(f"{target}: {len(arrays)} tensors do not fit into a .npy file; expected a folder or .safetensors")
            np.save(target, next(iter(arrays.values())))
            return
        target.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            np.save(target / (name + ".npy"), array)
    except OSError as error:
        fail(f"{target}: cannot write: {error.strerror}")
