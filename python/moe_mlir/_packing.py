# ===- _packing.py - Packing weights in memory ----------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Packing in memory, by `moe_pack` of the runtime and the plans of the artifact."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ._arrays import Kind, find_kind
from ._errors import fail
from ._manifest import DTYPE_BYTES, Arg, Function
from ._runtime import Library, MoePackPlan, MoeTensor, Runtime
from ._weights import Weights

#: enum moe_dtype.
_DTYPES = {"f32": 0, "bf16": 1, "f16": 2, "i8": 3, "u8": 3, "i32": 4, "f8E4M3FN": 5, "f8E8M0FNU": 6}
_FLOATS = ("f32", "bf16", "f16")


class _Source:
    """A tensor of the model, as it was given."""

    def __init__(self, function: Function, arg: Arg, array: Any) -> None:
        # A uint16 of NumPy may be bf16, whatever the model stores.
        isBits = str(getattr(array, "dtype", "")) == "uint16"
        array, kind = find_kind(array, arg.name, "bf16" if isBits else arg.dtype)
        where = kind.location(array)
        if where and "gradient" not in where:
            fail(f"{arg.name}: {where}; expected it in the memory of the CPU")
        self.kind: Kind = kind
        self.array = kind.contiguous(array)
        self.dtype = kind.name_of(self.array)
        self.shape = tuple(int(n) for n in self.array.shape)
        expected = tuple(arg.shape)
        if _squeezed(self.shape) != _squeezed(expected):
            fail(f"{arg.name}: shape is {list(self.shape)}, expected {list(expected)}")

    def address(self) -> int:
        return self.kind.address(self.array, Arg("", self.dtype, self.shape), self.shape)


def _squeezed(shape: Tuple[Any, ...]) -> Tuple[Any, ...]:
    """Without dimensions of 1 in front."""
    at = 0
    while at < len(shape) - 1 and shape[at] == 1:
        at += 1
    return shape[at:]


def wanted(function: Function) -> List[Arg]:
    """The tensors of the model that the weights of `function` are made of."""
    found: Dict[str, Arg] = {}
    for arg in _weights_of(function):
        for source in arg.sources if arg.packed else (arg,):
            found.setdefault(source.name, source)
    return list(found.values())


def _weights_of(function: Function) -> List[Arg]:
    return [arg for arg in function.arguments if arg.is_static and arg.shape and not arg.name.startswith("routing.")
            and arg.name != first_input(function)]


def first_input(function: Function) -> Optional[str]:
    """The argument that is given by its place: `x`, or the first that is not packed."""
    names = [arg.name for arg in function.arguments if not arg.packed]
    return "x" if "x" in names else names[0] if names else None


def pack(library: Library, function: Function, tensors: Mapping[str, Any], threads: Optional[int]) -> Weights:
    """Packs the weights of `function`."""
    args = _weights_of(function)
    sources = {arg.name: arg for arg in wanted(function)}
    missing = [name for name in sources if name not in tensors]
    if missing:
        fail(f"function {function.name!r}: no tensor {missing[0]!r}" +
             (f" and {len(missing) - 1} more" if len(missing) > 1 else "") +
             f"; there are: {', '.join(list(map(str, tensors))[:16])}")
    unknown = [name for name in tensors if name not in sources]
    if unknown:
        fail(f"function {function.name!r}: has no weight {unknown[0]!r}; its weights are: {', '.join(sources)}")
    given = {name: _Source(function, arg, tensors[name]) for name, arg in sources.items()}
    plans = {plan.name.decode(): plan for plan in library.plans(function)}
    weights = Weights._allocate([
        (arg.name, arg.dtype, tuple(int(n) for n in arg.shape), arg.nbytes,
         plans[arg.name].id.decode() if arg.packed else "") for arg in args])
    runtime = Runtime(library, threads)
    for arg in args:
        out = weights._blocks[arg.name].address
        if arg.packed:
            _pack_one(library, runtime, function, arg, plans[arg.name], given, out)
        else:
            _copy(arg, given[arg.name], out)
    return weights


def _copy(arg: Arg, source: _Source, out: int) -> None:
    """A weight that is used as it is; bf16 and f16 become f32 where that is wanted."""
    if arg.dtype == "f32" and source.dtype in ("bf16", "f16"):
        source.array = source.kind.widen(source.array)
        source.array, source.kind = find_kind(source.array, arg.name, "f32")
        source.dtype = "f32"
    if source.dtype != arg.dtype:
        fail(f"{arg.name}: elements are {source.dtype}, expected {arg.dtype}")
    nbytes = DTYPE_BYTES[arg.dtype]
    for n in source.shape:
        nbytes *= n
    ctypes.memmove(out, source.address(), nbytes)


def _pack_one(library: Library, runtime: Runtime, function: Function, arg: Arg, plan: MoePackPlan,
              given: Dict[str, _Source], out: int) -> None:
    tensors = (MoeTensor * plan.num_tensors)()
    alive: List[Any] = []
    for i in range(plan.num_tensors):
        wanted_tensor = plan.tensors[i]
        name = wanted_tensor.name.decode()
        source = given[name]
        if source.dtype not in _DTYPES:
            fail(f"{name}: elements are {source.dtype}, expected f32, bf16 or f16")
        if plan.layout == b"panels" and source.dtype not in _FLOATS:
            fail(f"{name}: elements are {source.dtype}, expected f32, bf16 or f16")
        shape = (c_int64 * len(source.shape))(*source.shape)
        alive.append(shape)
        tensors[i].name = wanted_tensor.name
        tensors[i].dtype = _DTYPES[source.dtype]
        tensors[i].rank = len(source.shape)
        tensors[i].shape = shape
        tensors[i].data = c_void_p(source.address())
    status = library.pack(runtime.reference, ctypes.addressof(plan), tensors, out, arg.nbytes)
    if status:
        raise runtime.error(f"packing {arg.name!r} of {function.name!r}", status)
