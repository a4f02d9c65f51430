# ===- _device_arrays.py - Arrays in a device's memory ---------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Arrays of PyTorch and of whoever has DLPack on a device, and our own.

Nothing is copied: what goes from hand to hand are addresses, and the stream on
which the memory behind them is ready.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, CFUNCTYPE, byref, c_char_p, c_int64, c_void_p
from typing import Any, Dict, NoReturn, Optional, Tuple

import numpy as np

from ._arrays import DLPACK_DTYPES, DLTensor, Foreign, Kind, Shape, nbytes, numpy_kind, torch_kind
from ._devices import Device
from ._errors import fail
from ._manifest import Arg

#: What kernels take for granted of addresses.
ALIGNMENT = 16


# -- Lending ------------------------------------------------------------------


class _Managed(ctypes.Structure):
    """`DLManagedTensor`."""


_Deleter = CFUNCTYPE(None, c_void_p)
_Managed._fields_ = [("tensor", DLTensor), ("context", c_void_p), ("deleter", _Deleter)]

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [c_void_p, c_char_p, c_void_p]
# Of a capsule that is being destroyed, which must not become an object again.
_is_valid = CFUNCTYPE(ctypes.c_int, c_void_p, c_char_p)(("PyCapsule_IsValid", _api))
_get_raw = CFUNCTYPE(c_void_p, c_void_p, c_char_p)(("PyCapsule_GetPointer", _api))
_NAME = b"dltensor"

#: What was lent, by the address of its struct, until whoever has it lets it go.
_lent: Dict[int, Tuple[Any, ...]] = {}


@_Deleter
def _let_go(managed: Optional[int]) -> None:
    _lent.pop(managed or 0, None)


@_Deleter
def _destroy(capsule: Optional[int]) -> None:
    # Who took the tensor has renamed the capsule.
    if _is_valid(capsule, _NAME):
        _lent.pop(_get_raw(capsule, _NAME) or 0, None)


class DeviceArray:
    """An array in the memory of a device, dense and row-major, that others read through DLPack.

    device: such as 'cuda:0'. shape, dtype: as layers name them. Layers return them
    for arrays of DLPack; Layer.to_device() makes one of a NumPy array.
    """

    def __init__(self, device: Device, dtype: str, shape: Shape, stream: int) -> None:
        self._device = device
        self._stream = stream
        self._data = 0
        self.dtype = dtype
        self.shape: Shape = tuple(shape)
        self.nbytes = nbytes(dtype, self.shape)
        self._data = device.allocate(max(self.nbytes, 1))

    def __del__(self) -> None:
        if getattr(self, "_data", 0):
            self._device.free(self._data, self._stream)

    @property
    def device(self) -> str:
        """Where its memory is."""
        return self._device.name

    def __repr__(self) -> str:
        return f"<moe_mlir.DeviceArray {self.dtype}{list(self.shape)} on {self.device}>"

    def __dlpack_device__(self) -> Tuple[int, int]:
        return self._device.api.dlpack[0], self._device.number

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None,
                   copy: Optional[bool] = None) -> Any:
        """A capsule with a DLManagedTensor. It waits for the array unless `stream` is the one it is made on."""
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError(f"an array on {self.device} is lent where it is, and not copied")
        if stream != -1 and (stream is None or own_stream(self._device, stream) != self._stream):
            self._device.synchronize(self._stream)
        code = next(code for code, name in DLPACK_DTYPES.items() if name == self.dtype)
        shape = (c_int64 * max(len(self.shape), 1))(*self.shape)
        kind, number = self.__dlpack_device__()
        managed = _Managed(DLTensor(self._data, kind, number, len(self.shape), code[0], code[1], 1, shape, None, 0),
                           None, _let_go)
        address = ctypes.addressof(managed)
        _lent[address] = (self, managed, shape)
        return _api.PyCapsule_New(address, _NAME, ctypes.cast(_destroy, c_void_p))

    def numpy(self) -> Any:
        """A copy as a NumPy array; waits for it."""
        array = numpy_kind().empty(self.dtype, self.shape)
        if self.nbytes:
            self._device.copy_from(array.ctypes.data, self._data, self.nbytes, self._stream)
        return array


def own_stream(device: Device, stream: Any) -> int:
    """The stream that DLPack's `stream` or a library's object is. 0 is the default one."""
    if stream is None or device.api.kind == "vulkan":
        return 0
    for attribute in ("cuda_stream", "ptr", "handle"):
        if not isinstance(stream, int) and isinstance(getattr(stream, attribute, None), int):
            stream = getattr(stream, attribute)
    if isinstance(stream, bool) or not isinstance(stream, int) or stream < 0:
        fail(f"stream: is {stream!r}; expected the number of a stream, as __dlpack__(stream=) takes it, or a stream "
             "of PyTorch or CuPy")
    # CUDA's name for the default stream, which DLPack asks for.
    return 0 if stream == 1 and device.api.kind == "cuda" else stream


def to_device(device: Device, array: Any, dtype: str, stream: int) -> DeviceArray:
    """A copy of a NumPy array of that type."""
    made = DeviceArray(device, dtype, tuple(array.shape), stream)
    if made.nbytes:
        device.copy_to(made._data, array.ctypes.data, made.nbytes, stream)
    return made


# -- Kinds --------------------------------------------------------------------


class _OnDevice(Kind):
    """Arrays on one device, whose memory is ready on one stream."""

    def __init__(self, device: Device, stream: int) -> None:
        self.device = device
        self.stream = stream

    def fails(self, array: Any, arg: Arg, shape: Shape) -> NoReturn:
        """As refuse(), for arrays that fit but for where they are."""
        expected = f"expected {arg.dtype}[{', '.join(map(str, shape))}]"
        where = self.location(array)
        if where:
            fail(f"{arg.name}: {where}; {expected} that is contiguous, on {self.device.name}")
        self.refuse(array, arg, shape)

    def checked(self, address: int, arg: Arg) -> int:
        if address % ALIGNMENT:
            fail(f"{arg.name}: is not at a multiple of {ALIGNMENT} bytes, which kernels want; make a copy")
        return address


class DeviceKind(_OnDevice):
    """DeviceArray, and arrays that are lent through DLPack. Results are DeviceArrays."""

    def name_of(self, array: Any) -> str:
        return str(array.dtype)

    def location(self, array: Any) -> Optional[str]:
        if isinstance(array, DeviceArray):
            return None if array._device is self.device else f"the array is on {array.device}"
        return array.where

    def is_contiguous(self, array: Any) -> bool:
        return isinstance(array, DeviceArray) or array.is_contiguous

    def address(self, array: Any, arg: Arg, shape: Shape) -> int:
        isDtype = array.dtype == arg.dtype or (arg.dtype == "index" and array.dtype == "i64")
        if self.location(array) or not isDtype or array.shape != shape or not self.is_contiguous(array):
            self.fails(array, arg, shape)
        if not isinstance(array, DeviceArray):
            return self.checked(array.data, arg)
        if array._stream != self.stream:
            self.device.synchronize(array._stream)
        return array._data

    def writable(self, array: Any, arg: Arg, shape: Shape) -> int:
        if not isinstance(array, DeviceArray):
            fail(f"{arg.name}: DLPack does not say whether an array may be written; expected a DeviceArray or one of "
                 "PyTorch")
        address = self.address(array, arg, shape)
        array._stream = self.stream
        return address

    def empty(self, dtype: str, shape: Shape) -> Any:
        return DeviceArray(self.device, dtype, shape, self.stream)

    def start(self, array: Any) -> int:
        return int(array._data)


class Borrowed(Foreign):
    """An array of DLPack on a device, as long as this is there. `where`: why it is on none of ours, if so."""

    def __init__(self, name: str, array: Any, device: Device, stream: int) -> None:
        kind, number = (int(n) for n in array.__dlpack_device__())
        self.device = f"device {kind}:{number} of DLPack"
        self.where: Optional[str] = None
        if kind == 1:
            self.where = "the array is in the host's memory (Layer.to_device() copies one of NumPy)"
        elif kind not in device.api.dlpack or (number != device.number and kind == device.api.dlpack[0]):
            self.where = f"the array is on {self.device}"
        elif device.api.kind == "vulkan":
            # An address of ours: what others lend are handles of their own.
            self.where = "the array is another library's, and Vulkan has no addresses that libraries agree about"
        self.shape, self.dtype, self.data, self.is_contiguous = (), "", 0, True
        if not self.where:
            # The number of DLPack for CUDA's default stream.
            asked = 1 if stream == 0 and device.api.kind == "cuda" else stream
            self.take(name, array, asked)
        else:
            self.shape = tuple(int(n) for n in getattr(array, "shape", ()))


class TorchDeviceKind(_OnDevice):
    """torch.Tensor on one device, on PyTorch's current stream."""

    def __init__(self, device: Device, torch: Any, stream: int) -> None:
        super().__init__(device, stream)
        self.cpu = torch
        self.torch = torch.torch
        self.place = self.torch.device("cuda", device.number)

    def name_of(self, array: Any) -> str:
        return str(self.cpu.name_of(array))

    def location(self, array: Any) -> Optional[str]:
        if array.device != self.place:
            return f"the tensor is on {array.device}"
        return None if array.layout is self.torch.strided and not array.is_neg() and \
            not (array.requires_grad and self.cpu.grad()) else self._other(array)

    def _other(self, array: Any) -> str:
        if array.layout is not self.torch.strided:
            return f"the tensor is {array.layout}"
        if array.is_neg():
            return "the tensor is a negation that was put off (call resolve_neg())"
        return "requires a gradient, and compiled layers have none (call detach(), or torch.no_grad())"

    def is_contiguous(self, array: Any) -> bool:
        return bool(array.is_contiguous())

    def address(self, array: Any, arg: Arg, shape: Shape) -> int:
        if (array.dtype is not self.cpu.dtypes.get(arg.dtype) or array.shape != shape or not array.is_contiguous()
                or self.location(array)):
            self.fails(array, arg, shape)
        return self.checked(int(array.data_ptr()), arg)

    def writable(self, array: Any, arg: Arg, shape: Shape) -> int:
        if array.requires_grad:
            fail(f"{arg.name}: the tensor requires a gradient, and it would be written")
        return self.address(array, arg, shape)

    def empty(self, dtype: str, shape: Shape) -> Any:
        return self.torch.empty(shape, dtype=self.cpu.dtypes[dtype], device=self.place)

    def start(self, array: Any) -> int:
        return int(array.data_ptr())


def find_device_kind(device: Device, array: Any, stream: Any) -> _OnDevice:
    """How arrays of the kind of `array` are read on `device`, and on which stream."""
    torch = torch_kind()
    if torch is not None and isinstance(array, torch.torch.Tensor):
        if stream is not None:
            fail("stream: tensors of PyTorch are used on its current stream; set that: torch.cuda.stream(...)")
        isAmd = getattr(torch.torch.version, "hip", None) is not None
        if not torch.torch.cuda.is_available() or device.api.kind != ("hip" if isAmd else "cuda"):
            fail(f"x: the tensor is on {array.device}, and the layer is on {device.name}, whose memory PyTorch has not")
        return TorchDeviceKind(device, torch, int(torch.torch.cuda.current_stream(device.number).cuda_stream))
    return DeviceKind(device, own_stream(device, stream))


def as_argument(kind: _OnDevice, array: Any, name: str) -> Tuple[Any, _OnDevice]:
    """What to read an array as, and its kind, in a call whose x is of `kind`."""
    torch = torch_kind()
    if isinstance(kind, TorchDeviceKind) and isinstance(array, kind.torch.Tensor):
        return array, kind
    other = kind if isinstance(kind, DeviceKind) else DeviceKind(kind.device, kind.stream)
    if isinstance(array, DeviceArray):
        return array, other
    if isinstance(array, (np.ndarray, np.generic, bool, int, float)):
        fail(f"{name}: the array is in the host's memory (Layer.to_device() copies it); expected one on "
             f"{kind.device.name}")
    if torch is not None and isinstance(array, torch.torch.Tensor) and array.requires_grad and not torch.grad():
        array = array.detach()
    if hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
        return Borrowed(name, array, kind.device, kind.stream), other
    fail(f"{name}: is a {type(array).__name__}; expected an array of PyTorch or with DLPack on {kind.device.name}")
