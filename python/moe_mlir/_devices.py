# ===- _devices.py - Devices with memory of their own ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""moe_cuda.h, moe_hip.h and moe_vulkan.h, by ctypes.

A device is opened once in a process, with the runtime of whoever asks first.
Drivers are opened then, not before: a machine without one loads layers for its CPU.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ._errors import fail
from ._manifest import Manifest
from ._runtime import Library, MoeRt, hear_errors_of, take_message

#: What asks for no device.
HOST = "cpu"


class Api(NamedTuple):
    """A kind of device. dlpack: the types of DLPack whose memory it works on; name: in manifests."""

    kind: str
    name: str
    prefix: str
    dlpack: Tuple[int, ...]


#: kDLCUDA and kDLCUDAManaged; kDLROCM; kDLVulkan.
APIS = {
    "cuda": Api("cuda", "nvidia", "moe_cuda_", (2, 13)),
    "hip": Api("hip", "amd", "moe_hip_", (10,)),
    "vulkan": Api("vulkan", "vulkan", "moe_vulkan_", (7,)),
}


class Device:
    """An opened device. Calls of its functions are made one at a time, under `lock`."""

    def __init__(self, library: Library, api: Api, number: int) -> None:
        self.api = api
        self.number = number
        self.name = f"{api.kind}:{number}"
        self.lock = threading.RLock()
        self._dll = library.dll
        self._stream = 0
        #: Scratch memory of calls by stream: what is started on one runs in order.
        self._workspaces: Dict[int, Tuple[int, int]] = {}
        self._handle = c_void_p()
        message = ctypes.create_string_buffer(512)
        if self._call("open", c_int, number, byref(self._handle), message, c_size_t(len(message))):
            fail(f"{self.name}: {message.value.decode('utf-8', 'replace')}")
        self.rt = c_void_p(self._call("rt", c_void_p, self._handle))
        hear_errors_of(MoeRt.from_address(self.rt.value or 0))

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        function = self._dll[self.api.prefix + name]
        function.restype = result
        return function(*arguments)

    def error(self) -> str:
        """What the last failure was."""
        return (self._call("error", c_char_p, self._handle) or b"").decode("utf-8", "replace")

    def _check(self, status: int, what: str) -> None:
        if status:
            fail(f"{self.name}: {what}: {self.error()}")

    def take_message(self) -> str:
        """What the error hook was told since it was last asked."""
        return take_message(self.rt.value or 0)

    def use(self, stream: int) -> None:
        """Has kernels and copies from now on go to `stream`, where there are streams. Under the lock."""
        if stream != self._stream:
            self._call("set_stream", None, self._handle, c_void_p(stream))
            self._stream = stream

    def allocate(self, nbytes: int) -> int:
        with self.lock:
            memory = self._call("allocate", c_void_p, self._handle, c_size_t(nbytes))
            if not memory:
                fail(f"{self.name}: no memory for {nbytes} bytes: {self.error()}")
            return int(memory)

    def free(self, memory: int, stream: int = 0) -> None:
        """Behind what was started on `stream`."""
        with self.lock:
            self.use(stream)
            self._call("synchronize", c_int, self._handle)
            self._call("free", None, self._handle, c_void_p(memory))

    def synchronize(self, stream: int = 0) -> None:
        """Waits for what was started on `stream`."""
        with self.lock:
            self.use(stream)
            self._check(self._call("synchronize", c_int, self._handle), "waiting for kernels")

    def copy_to(self, memory: int, host: int, nbytes: int, stream: int = 0) -> None:
        with self.lock:
            self.use(stream)
            self._check(self._call("copy_to", c_int, self._handle, c_void_p(memory), c_void_p(host),
                                   c_size_t(nbytes)), f"copying {nbytes} bytes there")

    def copy_from(self, host: int, memory: int, nbytes: int, stream: int = 0) -> None:
        with self.lock:
            self.use(stream)
            self._check(self._call("copy_from", c_int, self._handle, c_void_p(host), c_void_p(memory),
                                   c_size_t(nbytes)), f"copying {nbytes} bytes back")

    def workspace(self, nbytes: int, stream: int) -> Tuple[int, int]:
        """Scratch memory for a call on `stream`, and its bytes. Under the lock."""
        memory, room = self._workspaces.get(stream, (0, -1))
        if room < nbytes:
            if memory:
                del self._workspaces[stream]
                self.free(memory, stream)
            memory, room = self.allocate(nbytes), nbytes
            self._workspaces[stream] = memory, room
        return memory, room


_devices: Dict[Tuple[str, int], Device] = {}
_lock = threading.Lock()


def _describe(names: List[str]) -> str:
    kinds = {api.name: api.kind for api in APIS.values()}
    said = ["the CPU" if not name else kinds.get(name, repr(name)) for name in names]
    return " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def choose(manifest: Manifest, wanted: Optional[str]) -> Optional[Tuple[Api, int]]:
    """Which device the layers of an artifact run on; None for the CPU.

    wanted: as load() takes it. None: the CPU if there is code for it, or else the
        first device that there is code for.
    """
    names: List[str] = []
    for target in manifest.targets:
        name = target.get("device", "")
        if name not in names:
            names.append(name)
    expected = "expected 'cpu', 'cuda', 'hip' or 'vulkan', and :N for that of number N"
    if wanted is not None and not isinstance(wanted, str):
        fail(f"device: is a {type(wanted).__name__}; {expected}")
    kind, _, digits = (wanted or "").partition(":")
    if wanted is None or wanted == HOST:
        if not names or "" in names:
            return None
        if wanted == HOST:
            fail(f"{manifest.path}: has no code for the CPU, its layers are for {_describe(names)}")
        kind = next((api.kind for api in APIS.values() if api.name == names[0]), "")
        if not kind:
            fail(f"{manifest.path}: its layers are for {names[0]!r}, a device that is not known here")
    elif kind not in APIS or (":" in wanted and not (digits.isascii() and digits.isdigit())):
        fail(f"device={wanted!r}: {expected}")
    api = APIS[kind]
    if api.name not in names:
        fail(f"{manifest.path}: has no code for {kind}, its layers are for {_describe(names)}")
    return api, int(digits or 0)


def open_device(library: Library, api: Api, number: int) -> Device:
    """Opens a device, once."""
    with _lock:
        device = _devices.get((api.kind, number))
        if device is None:
            device = _devices[(api.kind, number)] = Device(library, api, number)
        return device
