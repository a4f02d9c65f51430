# ===- _safetensors.py - Files of tensors ---------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The files that packed weights are in, read where they are mapped."""

from __future__ import annotations

import json
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterable, List, Tuple

from ._errors import fail

#: Bytes of an element, by the names that the format has.
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2,
    "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}

#: What manifests call them.
DTYPE_NAMES = {
    "F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16", "I64": "i64", "I32": "i32", "I8": "i8", "U8": "u8",
    "BOOL": "i1", "F8_E4M3": "f8E4M3FN", "F8_E8M0": "f8E8M0FNU",
}

#: Where the data begins, and each tensor of it.
DATA_ALIGNMENT, TENSOR_ALIGNMENT = 4096, 64

#: The format has no gaps: they are tensors that begin like this.
PADDING = "__padding__"

#: As other readers of the format have it.
_MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class Tensor:
    """Where a tensor is in a file: `offset` counts from its beginning."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    path: Path
    tensors: Dict[str, Tensor]
    metadata: Dict[str, str]
    raw: bytes  # As it is in the file, without its length.
    size: int  # Of the file.


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _tensor(path: Path, name: str, entry: Any, begin: int, size: int) -> Tensor:
    where = f"{path}: tensor {name!r}"
    if not isinstance(entry, dict):
        fail(f"{where}: expected an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if dtype not in DTYPE_BYTES:
        fail(f"{where}: unknown element type {dtype!r}")
    if not isinstance(shape, list) or not all(map(_is_count, shape)):
        fail(f"{where}: its shape is not a list of numbers")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        fail(f"{where}: its data_offsets are not two numbers")
    nbytes = DTYPE_BYTES[dtype]
    for n in shape:
        nbytes *= n
    first, last = offsets
    if last - first != nbytes:
        fail(f"{where}: has {last - first} bytes, expected {nbytes} for {dtype}{shape}")
    if begin + last > size:
        fail(f"{where}: ends at byte {begin + last}, and the file has {size}; it is cut")
    return Tensor(name, dtype, tuple(shape), begin + first, nbytes)


def read_header(file: BinaryIO, path: Path) -> Header:
    """What a file says of its tensors; every number is checked."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(8)
    if len(head) < 8:
        fail(f"{path}: not a .safetensors file: it has {size} bytes")
    length = struct.unpack("<Q", head)[0]
    if length > min(_MAX_HEADER, size - 8):
        fail(f"{path}: not a .safetensors file, or cut: a header of {length} bytes in a file of {size}")
    raw = file.read(length)
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        fail(f"{path}: its header is no JSON: {error}")
    if not isinstance(value, dict):
        fail(f"{path}: its header is not an object")
    metadata = value.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        fail(f"{path}: its __metadata__ is not an object of texts")
    tensors = {name: _tensor(path, name, entry, 8 + length, size)
               for name, entry in value.items() if not name.startswith(PADDING)}
    return Header(path, tensors, metadata, raw, size)


def map_file(path: Path) -> Tuple[Header, mmap.mmap]:
    """The header of `path`, and all of it as memory that is only read."""
    try:
        with open(path, "rb") as file:
            header = read_header(file, path)
            return header, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        fail(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}")


def write(path: Path, tensors: Iterable[Tuple[str, str, Tuple[int, ...], memoryview]],
          metadata: Dict[str, str]) -> None:
    """Writes tensors, (name, dtype of the format, shape, bytes), at aligned offsets."""
    entries: Dict[str, Any] = {"__metadata__": metadata}
    places: List[Tuple[int, memoryview]] = []
    end = 0
    for name, dtype, shape, data in tensors:
        begin = -(-end // TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT
        if begin > end:
            entries[f"{PADDING}{len(places)}"] = {"dtype": "U8", "shape": [begin - end], "data_offsets": [end, begin]}
        end = begin + data.nbytes
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        places.append((begin, data))
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-(8 + len(header)) % DATA_ALIGNMENT)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        at = 0
        for begin, data in places:
            file.write(b"\0" * (begin - at))
            file.write(data)
            at = begin + data.nbytes
        file.flush()
        os.fsync(file.fileno())
