# ===- _arrays.py - Memory of arrays --------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Arrays of NumPy, of PyTorch, and of whoever has DLPack.

Compiled code trusts pointers. What is behind one is checked here: type, shape,
contiguity, device, whether it may be written. Each check is a few dozen
nanoseconds; messages are made when one fails.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import addressof, c_char
from typing import Any, Dict, NoReturn, Optional, Sequence, Tuple

import numpy as np

from ._errors import fail
from ._manifest import DTYPE_BYTES, Arg

_from_buffer = c_char.from_buffer
Shape = Tuple[int, ...]

#: Types of NumPy, but for bf16, which it does not have.
_NUMPY_DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "index": np.dtype(np.int64),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "i1": np.dtype(np.bool_),
}


class Kind:
    """One library's arrays."""

    def name_of(self, array: Any) -> str:
        """The element type as manifests name it, or the library's name for it."""
        raise NotImplementedError

    def address(self, array: Any, arg: Arg, shape: Shape) -> int:
        """Where the elements of `array` are, which has to fit `arg` and `shape`."""
        raise NotImplementedError

    def writable(self, array: Any, arg: Arg, shape: Shape) -> int:
        """The same of an array that will be written."""
        raise NotImplementedError

    def empty(self, dtype: str, shape: Shape) -> Any:
        """A new array; NumPy's if the library has none that may be written."""
        raise NotImplementedError

    def start(self, array: Any) -> int:
        """Where the elements are of what empty() returned."""
        raise NotImplementedError

    def contiguous(self, array: Any) -> Any:
        """`array`, or a copy that is contiguous."""
        raise NotImplementedError

    def widen(self, array: Any) -> Any:
        """A copy of bf16 or f16 as f32, which is exact."""
        raise NotImplementedError

    def location(self, array: Any) -> Optional[str]:
        """The device, if its memory is not the CPU's, or what else stands in the way."""
        return None

    def is_contiguous(self, array: Any) -> bool:
        raise NotImplementedError

    def refuse(self, array: Any, arg: Arg, shape: Shape) -> NoReturn:
        """Says why `array` does not fit."""
        expected = f"expected {arg.dtype}[{', '.join(map(str, shape))}]"
        where = self.location(array)
        if where:
            fail(f"{arg.name}: {where}; {expected} that is contiguous, on the CPU")
        found = self.name_of(array)
        actual = tuple(int(n) for n in array.shape)
        if found != arg.dtype and not (arg.dtype == "index" and found == "i64"):
            fail(f"{arg.name}: elements are {found}, {expected}")
        if actual != tuple(shape):
            fail(f"{arg.name}: shape is {list(actual)}, {expected}")
        if not self.is_contiguous(array):
            fail(f"{arg.name}: not contiguous; {expected} in row-major order without gaps")
        fail(f"{arg.name}: cannot be used; {expected}")


# -- NumPy --------------------------------------------------------------------


def _ml_bfloat16() -> Optional[Any]:
    """bf16 of ml_dtypes, if that is installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


class NumpyKind(Kind):
    """numpy.ndarray. bf16 is ml_dtypes.bfloat16, or uint16 that holds its bits."""

    def __init__(self, bfloat16: Any) -> None:
        self.dtypes: Dict[str, Any] = dict(_NUMPY_DTYPES, bf16=bfloat16)
        self.names: Dict[Any, str] = {dtype: name for name, dtype in self.dtypes.items() if name != "index"}

    def name_of(self, array: Any) -> str:
        return self.names.get(array.dtype) or str(array.dtype)

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.flags.c_contiguous)

    def address(self, array: Any, arg: Arg, shape: Shape) -> int:
        if array.dtype != self.dtypes.get(arg.dtype) or array.shape != shape or not array.flags.c_contiguous:
            self.refuse(array, arg, shape)
        return self.start(array)

    def start(self, array: Any) -> int:
        try:
            # A quarter of the time of .ctypes.data, of arrays that may be written.
            return addressof(_from_buffer(array))
        except (TypeError, ValueError):
            return int(array.ctypes.data)

    def writable(self, array: Any, arg: Arg, shape: Shape) -> int:
        if not array.flags.writeable:
            fail(f"{arg.name}: the array is read-only, and it would be written")
        return self.address(array, arg, shape)

    def empty(self, dtype: str, shape: Shape) -> Any:
        return np.empty(shape, self.dtypes[dtype])

    def contiguous(self, array: Any) -> Any:
        return np.ascontiguousarray(array)

    def widen(self, array: Any) -> Any:
        if array.dtype == np.uint16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32)


_BITS = NumpyKind(np.dtype(np.uint16))
_own: Optional[NumpyKind] = None


def numpy_kind() -> NumpyKind:
    """How results become NumPy arrays."""
    global _own
    if _own is None:
        bfloat16 = _ml_bfloat16()
        _own = _BITS if bfloat16 is None else NumpyKind(bfloat16)
    return _own


# -- PyTorch ------------------------------------------------------------------


class TorchKind(Kind):
    """torch.Tensor on the CPU."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.strided = torch.strided
        self.grad = torch.is_grad_enabled
        self.dtypes: Dict[str, Any] = {
            "f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "f16": torch.float16,
            "i32": torch.int32, "i64": torch.int64, "index": torch.int64, "i8": torch.int8, "u8": torch.uint8,
            "i1": torch.bool,
        }
        self.names: Dict[Any, str] = {dtype: name for name, dtype in self.dtypes.items() if name != "index"}
        for name, ours in (("float8_e4m3fn", "f8E4M3FN"), ("float8_e8m0fnu", "f8E8M0FNU")):
            if hasattr(torch, name):
                self.dtypes[ours] = getattr(torch, name)
                self.names[self.dtypes[ours]] = ours

    def name_of(self, array: Any) -> str:
        return self.names.get(array.dtype) or str(array.dtype)

    def location(self, array: Any) -> Optional[str]:
        if not array.is_cpu:
            return f"the tensor is on {array.device}"
        if array.layout is not self.strided:
            return f"the tensor is {array.layout}"
        if array.is_neg():
            return "the tensor is a negation that was put off (call resolve_neg())"
        if array.requires_grad and self.grad():
            return "requires a gradient, and compiled layers have none (call detach(), or torch.no_grad())"
        return None

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.is_contiguous())

    def address(self, array: Any, arg: Arg, shape: Shape) -> int:
        if (array.dtype is not self.dtypes.get(arg.dtype) or array.shape != shape or not array.is_cpu
                or array.layout is not self.strided or not array.is_contiguous() or array.is_neg()
                or (array.requires_grad and self.grad())):
            self.refuse(array, arg, shape)
        return int(array.data_ptr())

    def writable(self, array: Any, arg: Arg, shape: Shape) -> int:
        if array.requires_grad:
            fail(f"{arg.name}: the tensor requires a gradient, and it would be written")
        return self.address(array, arg, shape)

    def empty(self, dtype: str, shape: Shape) -> Any:
        return self.torch.empty(shape, dtype=self.dtypes[dtype], device="cpu")

    def start(self, array: Any) -> int:
        return int(array.data_ptr())

    def contiguous(self, array: Any) -> Any:
        return array.detach().contiguous()

    def widen(self, array: Any) -> Any:
        return array.detach().to(self.torch.float32).contiguous()


# -- DLPack -------------------------------------------------------------------


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype = ctypes.c_void_p
_get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]

_DLPACK_CPU = 1
#: By code and bits.
DLPACK_DTYPES = {
    (0, 8): "i8", (0, 32): "i32", (0, 64): "i64", (1, 8): "u8", (2, 16): "f16", (2, 32): "f32", (2, 64): "f64",
    (4, 16): "bf16", (6, 8): "i1",
}


class Foreign:
    """An array that was lent through DLPack, as long as this is there."""

    def __init__(self, name: str, array: Any) -> None:
        device = array.__dlpack_device__()
        self.device = "" if int(device[0]) == _DLPACK_CPU else f"device {int(device[0])}:{int(device[1])} of DLPack"
        self.shape: Shape = tuple(int(n) for n in array.shape) if self.device else ()
        self.dtype, self.data, self.is_contiguous = "", 0, True
        if not self.device:
            self.take(name, array)

    def take(self, name: str, array: Any, *stream: int) -> None:
        """Borrows the array, for work on `stream` if it is on a device."""
        try:
            self.capsule = array.__dlpack__(stream=stream[0]) if stream else array.__dlpack__()
        except Exception as error:
            fail(f"{name}: {type(array).__name__} cannot be lent through DLPack: {error}")
        tensor = DLTensor.from_address(_get_pointer(self.capsule, b"dltensor"))
        self.shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
        code = (tensor.code, tensor.bits)
        self.dtype = DLPACK_DTYPES.get(code, "") if tensor.lanes == 1 else ""
        self.dtype = self.dtype or f"DLPack type {code[0]} of {code[1]} bits"
        self.data = (tensor.data or 0) + tensor.byte_offset
        if tensor.strides and 0 not in self.shape:
            step = 1
            for i in reversed(range(tensor.ndim)):
                if self.shape[i] != 1 and tensor.strides[i] != step:
                    self.is_contiguous = False
                step *= self.shape[i]


class ForeignKind(Kind):
    """Arrays that come through DLPack. Results are NumPy's."""

    def name_of(self, array: Foreign) -> str:
        return array.dtype

    def location(self, array: Foreign) -> Optional[str]:
        return f"the array is on {array.device}" if array.device else None

    def is_contiguous(self, array: Foreign) -> bool:
        return array.is_contiguous

    def address(self, array: Foreign, arg: Arg, shape: Shape) -> int:
        isDtype = array.dtype == arg.dtype or (arg.dtype == "index" and array.dtype == "i64")
        if array.device or not isDtype or array.shape != shape or not array.is_contiguous:
            self.refuse(array, arg, shape)
        return array.data

    def writable(self, array: Foreign, arg: Arg, shape: Shape) -> int:
        fail(f"{arg.name}: DLPack does not say whether an array may be written; expected one of NumPy or PyTorch")

    def empty(self, dtype: str, shape: Shape) -> Any:
        return numpy_kind().empty(dtype, shape)

    def start(self, array: Any) -> int:
        return numpy_kind().start(array)

    def contiguous(self, array: Foreign) -> Foreign:
        if not array.is_contiguous:
            fail("an array of DLPack is not contiguous; make a copy first")
        return array

    def widen(self, array: Foreign) -> Any:
        count = int(np.prod(array.shape, dtype=np.int64))
        buffer = (ctypes.c_uint16 * count).from_address(array.data) if count else b""
        bits = np.frombuffer(buffer, np.uint16).reshape(array.shape)
        return (bits.astype(np.uint32) << 16).view(np.float32) if array.dtype == "bf16" else \
            bits.view(np.float16).astype(np.float32)


_FOREIGN = ForeignKind()
_torch: Optional[TorchKind] = None

#: What exact types are, for the way through a call without a branch more.
KINDS: Dict[type, Kind] = {}


def torch_kind() -> Optional[TorchKind]:
    """How tensors are read, if PyTorch was imported."""
    global _torch
    module = sys.modules.get("torch")
    if _torch is None and module is not None and hasattr(module, "Tensor"):
        _torch = TorchKind(module)
        KINDS[module.Tensor] = KINDS[module.nn.Parameter] = _torch
    return _torch


def find_kind(array: Any, name: str, dtype: str, shape: Optional[Sequence[Any]] = None) -> Tuple[Any, Kind]:
    """What to read `array` as, and its kind. `dtype` and `shape` are what is expected."""
    if isinstance(array, np.ndarray):
        if isinstance(array, np.ma.MaskedArray):
            fail(f"{name}: is a masked array, and compiled layers know no masks")
        # A uint16 is bf16 where that is expected, and no other type is.
        return array, (_BITS if dtype == "bf16" and array.dtype == np.uint16 else numpy_kind())
    torch = torch_kind()
    if torch is not None and isinstance(array, torch.torch.Tensor):
        return array, torch
    if shape == () and isinstance(array, (bool, int, float, np.generic)):
        scalar: Any = _NUMPY_DTYPES.get(dtype)
        return np.asarray(array, scalar), numpy_kind()
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return Foreign(name, array), _FOREIGN
    fail(f"{name}: is a {type(array).__name__}; expected an array of NumPy or PyTorch, or one with DLPack")


def nbytes(dtype: str, shape: Shape) -> int:
    total = DTYPE_BYTES[dtype]
    for n in shape:
        total *= n
    return total


KINDS[Foreign] = _FOREIGN
