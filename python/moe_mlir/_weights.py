# ===- _weights.py - Packed weights ---------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Packed weights: a mapped file, or memory that was packed into."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _safetensors
from ._errors import fail, path_of
from ._manifest import ABI, DTYPE_BYTES, Arg, Function, count
from ._runtime import ALIGNMENT, Library

_FORMAT = f"moe-packed-{ABI}"
_HUGE = 2 << 20


class _Block:
    """One weight: where it is, what it is, which layout it has, and of what it was made."""

    __slots__ = ("dtype", "shape", "address", "nbytes", "layout", "source")

    def __init__(self, dtype: str, shape: Tuple[int, ...], address: int, nbytes: int, layout: str,
                 source: str = "") -> None:
        self.dtype = dtype
        self.shape = shape
        self.address = address
        self.nbytes = nbytes
        self.layout = layout
        self.source = source


class Weights:
    """Weights in the layout of an artifact, for `load(..., weights=)`.

    They are a file of moe-pack or moe_mlir.pack() that is mapped, read-only and
    shared between processes, or memory that Layer.pack() has filled. Several
    layers may use one Weights. A file must not be cut while it is mapped: the
    process ends with SIGBUS then.
    """

    path: Optional[Path]

    def __init__(self) -> None:
        self.path = None
        self._blocks: Dict[str, _Block] = {}
        self._memory: Any = None
        self._bytes: Any = None  # The memory as an array.
        #: By device, where on it the weights at an address are.
        self._copies: Dict[Any, Dict[int, int]] = {}

    @classmethod
    def open(cls, path: Union[str, "os.PathLike[str]"]) -> "Weights":
        """Maps a file of packed weights; raises Error if it is none."""
        self = cls()
        self.path = path_of(path, "weights", "the path of a file of packed weights, or Weights")
        header, self._memory = _safetensors.map_file(self.path)
        found = header.metadata.get("format", "")
        if not found.startswith("moe-packed-"):
            fail(f"{self.path}: not packed weights (no \"format\" in its metadata); pack them with moe_mlir.pack or "
                 "moe-pack")
        if found != _FORMAT:
            fail(f"{self.path}: packed weights of another version ({found!r}, and this is {_FORMAT!r}); pack them "
                 "again")
        self._bytes = np.frombuffer(self._memory, np.uint8)
        base = self._bytes.ctypes.data
        for tensor in header.tensors.values():
            self._blocks[tensor.name] = _Block(
                _safetensors.DTYPE_NAMES.get(tensor.dtype, tensor.dtype), tensor.shape, base + tensor.offset,
                tensor.nbytes, header.metadata.get("layout." + tensor.name, ""),
                header.metadata.get("source." + tensor.name, ""))
        return self

    @classmethod
    def _allocate(cls, entries: Sequence[Tuple[str, str, Tuple[int, ...], int, str]]) -> "Weights":
        """Memory for (name, dtype, shape, bytes, layout id) of each weight."""
        self = cls()
        total = sum(-(-nbytes // ALIGNMENT) * ALIGNMENT for _, _, _, nbytes, _ in entries)
        # Weights are read from end to end: small pages would cost 4 to 10 %.
        isLarge = total >= 2 * _HUGE
        try:
            self._memory = mmap.mmap(-1, total + _HUGE if isLarge else max(total, 1), mmap.MAP_PRIVATE)
            if isLarge and hasattr(mmap, "MADV_HUGEPAGE"):
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError as error:
            if self._memory is None:
                fail(f"no memory for {total} bytes of packed weights: {error.strerror}")
        self._bytes = np.frombuffer(self._memory, np.uint8)
        at = self._bytes.ctypes.data
        at += -at % _HUGE if isLarge else 0
        for name, dtype, shape, nbytes, layout in entries:
            self._blocks[name] = _Block(dtype, shape, at, nbytes, layout)
            at += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return self

    @property
    def names(self) -> List[str]:
        """Which weights there are."""
        return list(self._blocks)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(block.nbytes for block in self._blocks.values())

    def __repr__(self) -> str:
        return f"<moe_mlir.Weights: {len(self._blocks)} tensors, {self.nbytes} bytes, {self.path or 'in memory'}>"

    def _view(self, block: _Block) -> Any:
        begin = block.address - self._bytes.ctypes.data
        return self._bytes[begin:begin + block.nbytes]

    def save(self, path: Union[str, "os.PathLike[str]"]) -> Path:
        """Writes a file as moe-pack does, for Weights.open() and the tools.

        It appears under its name when it is complete."""
        target = path_of(path, "path", "that of a .safetensors file")
        formats = {name: fmt for fmt, name in _safetensors.DTYPE_NAMES.items()}
        metadata = {"format": _FORMAT}
        metadata.update({"layout." + name: b.layout for name, b in self._blocks.items() if b.layout})
        metadata.update({"source." + name: b.source for name, b in self._blocks.items() if b.source})
        try:
            handle, partial = tempfile.mkstemp(prefix=target.name + ".", suffix=".moe-partial", dir=target.parent)
            os.close(handle)
            try:
                _safetensors.write(Path(partial), [(name, formats[b.dtype], b.shape, memoryview(self._view(b)))
                                                   for name, b in self._blocks.items()], metadata)
                os.chmod(partial, 0o666 & ~_umask())
                os.replace(partial, target)
            except BaseException:
                os.unlink(partial)
                raise
        except OSError as error:
            fail(f"{target}: cannot write: {error.strerror}")
        return target

    def _find(self, function: Function, name: str) -> Optional[_Block]:
        return self._blocks.get(f"{function.name}/{name}") or self._blocks.get(name)

    def _bind(self, library: Library, function: Function) -> Dict[str, int]:
        """The addresses of the weights of `function`; raises Error unless all fit.

        Weights that are not packed may be missing: a call can have them."""
        where = str(self.path) if self.path else "the packed weights"
        layouts = {plan.name.decode(): plan.id.decode() for plan in library.plans(function)}
        found: Dict[str, int] = {}
        for arg in function.arguments:
            block = self._find(function, arg.name) if arg.is_static else None
            if block is None:
                if arg.packed:
                    fail(f"{where}: no {arg.name!r} for function {function.name!r}; pack the weights of this artifact")
                continue
            if arg.packed and block.layout and block.layout != layouts.get(arg.name):
                other = library.target_of(function, arg.name, block.layout)
                if other:
                    fail(f"{where}: {arg.name!r} is packed for {other}; pack it for the target that runs here")
            self._check(where, arg, block, layouts.get(arg.name, ""))
            # Weights of another layer fit as well, and give wrong results.
            said = function.checkpoint
            own = "; ".join(f"{s.name} = {said[s.name]}" for s in arg.sources if s.name in said)
            if block.source and own and block.source != own:
                fail(f"{where}: {arg.name!r} is packed from {block.source!r}, and this layer's is {own!r}")
            found[arg.name] = block.address
        return found

    def _on(self, device: Any, addresses: Dict[str, int]) -> Dict[str, int]:
        """The same weights in the memory of a device, where they are copied once."""
        sizes = {block.address: block.nbytes for block in self._blocks.values()}
        with device.lock:
            there = self._copies.get(device)
            if there is None:
                there = self._copies[device] = {}
                # Not at the end of the process, when the driver may be gone.
                weakref.finalize(self, _free, device, there).atexit = False
            for address in addresses.values():
                if address in there:
                    continue
                memory = there[address] = device.allocate(sizes[address])
                device.copy_to(memory, address, sizes[address])
            return {name: there[address] for name, address in addresses.items()}

    @staticmethod
    def _check(where: str, arg: Arg, block: _Block, layout: str) -> None:
        if block.dtype != arg.dtype or block.shape != arg.shape:
            if arg.packed:
                fail(f"{where}: {arg.name!r} has {block.nbytes} bytes, expected {arg.nbytes}; it was packed for "
                     "another artifact, pack again")
            fail(f"{where}: {arg.name!r} is {block.dtype}{list(block.shape)}, expected {arg.dtype}{list(arg.shape)}")
        if arg.packed and block.layout != layout:
            fail(f"{where}: {arg.name!r} is packed in another layout ({block.layout or 'none'}, expected {layout}); "
                 "pack again")
        alignment = ALIGNMENT if arg.packed else DTYPE_BYTES[arg.dtype]
        if block.address % alignment:
            fail(f"{where}: {arg.name!r} is not at a multiple of {alignment} bytes; pack again")
        assert block.nbytes == count(block.shape) * DTYPE_BYTES[block.dtype]


def _free(device: Any, copies: Dict[int, int]) -> None:
    for memory in copies.values():
        device.free(memory)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
