# ===- _runtime.py - Compiled code and its runtime ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The C interface of docs/abi.md, by ctypes.

A library is loaded once for each file. `libmoe_rt` is the one beside the package
if there is one, else the one that the library was linked with: the dynamic
linker looks for it by its name, which both have.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ._errors import STATUS_NAMES, Error, fail
from ._manifest import ABI, Function, Manifest

#: Alignment of workspaces and packed weights in bytes.
ALIGNMENT = 64

_ErrorHook = CFUNCTYPE(None, c_void_p, c_int, c_char_p)


class MoeRt(ctypes.Structure):
    """`moe_rt`; `size` tells libraries which of the fields there are."""

    _fields_ = [
        ("abi", c_uint32),
        ("num_threads", c_int32),
        ("size", c_size_t),
        ("parallel_for", c_void_p),
        ("error", c_void_p),
        ("trace", c_void_p),
        ("user", c_void_p),
        ("launch", c_void_p),
        ("device", c_char_p),
        ("device_model", c_uint64),
    ]


class MoeTensor(ctypes.Structure):
    """`moe_tensor`."""

    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("shape", POINTER(c_int64)),
        ("data", c_void_p),
    ]


class MoePackPlan(ctypes.Structure):
    """`moe_pack_plan`, which its `size` may make shorter."""

    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("id", c_char_p),
        ("layout", c_char_p),
        ("bytes", c_size_t),
        ("columns", c_int64),
        ("interleave", c_int64),
        ("parts", c_int64),
        ("k_block", c_int64),
        ("k_padded", c_int64),
        ("n_padded", c_int64),
        ("experts", c_int64),
        ("dtype", c_int64),
        ("num_tensors", c_int64),
        ("tensors", POINTER(MoeTensor)),
        ("num_sources", c_int64),
        ("sources", c_void_p),
        ("num_fields", c_int64),
        ("fields", c_void_p),
        ("num_storage", c_int64),
        ("storage", c_void_p),
        ("matrices", c_void_p),
        ("orders", c_void_p),
    ]


# -- Messages -----------------------------------------------------------------

#: What the error hook was told, by the address of the moe_rt of the call.
_messages: Dict[int, str] = {}


#: MOE_ERR_DEVICE.
_DEVICE_FAILURE = 9


def _hear(rt: Optional[int], status: int, message: Optional[bytes]) -> None:
    said = (message or b"").decode("utf-8", "replace")
    # The launch hook says what the driver said, and then the layer what it could not start.
    before = _messages.get(rt or 0, "") if status == _DEVICE_FAILURE else ""
    _messages[rt or 0] = f"{said}: {before}" if before else said


_on_error = _ErrorHook(_hear)


def hear_errors_of(rt: MoeRt) -> None:
    """Has a runtime's messages kept for take_message()."""
    rt.error = ctypes.cast(_on_error, c_void_p)


def take_message(address: int) -> str:
    """What the error hook was told by the runtime at `address` since it was last asked."""
    return _messages.pop(address, "")


class Runtime:
    """A `moe_rt` of this package's error hook, for one call at a time."""

    def __init__(self, library: "Library", threads: Optional[int]) -> None:
        self.struct = MoeRt()
        library.init(ctypes.byref(self.struct), ctypes.sizeof(MoeRt), threads or 0)
        if self.struct.abi != ABI:
            fail(f"{library.path}: its libmoe_rt is of version {self.struct.abi}, and this is version {ABI}")
        hear_errors_of(self.struct)
        self.reference = ctypes.byref(self.struct)
        self.address = ctypes.addressof(self.struct)

    def error(self, where: str, status: int) -> Error:
        """What a call that returned `status` has to say."""
        message = take_message(self.address) or STATUS_NAMES.get(status, f"status {status}")
        # Compiled code names its function itself.
        return Error(message if message.startswith(where + ":") else f"{where}: {message}", status)


# -- Libraries ----------------------------------------------------------------


def _check_elf(path: Path) -> None:
    """Refuses files that the dynamic linker would map beyond their end."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(64)
            if head[:6] != b"\x7fELF\x02\x01" or len(head) < 64:
                fail(f"{path}: not a shared library (expected 64-bit ELF, as moe-compile --emit=shared writes)")
            phoff, shoff = struct.unpack_from("<QQ", head, 32)
            phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", head, 54)
            end = max(phoff + phentsize * phnum, shoff + shentsize * shnum)
            if end <= size and phentsize >= 56:
                file.seek(phoff)
                table = file.read(phentsize * phnum)
                for i in range(phnum):
                    offset, filesz = (struct.unpack_from("<Q", table, i * phentsize + at)[0] for at in (8, 32))
                    end = max(end, offset + filesz)
    except OSError as error:
        fail(f"{path}: cannot read: {error.strerror}")
    if end > size:
        fail(f"{path}: the file is cut: it has {size} bytes of at least {end}")


def _own_runtime() -> Optional[Path]:
    """The libmoe_rt that came with the package, or that $MOE_MLIR_RUNTIME names."""
    named = os.environ.get("MOE_MLIR_RUNTIME")
    if named:
        if not os.path.isfile(named):
            fail(f"MOE_MLIR_RUNTIME: {named}: no such file; expected a libmoe_rt.so.{ABI}")
        return Path(named)
    path = Path(__file__).parent / "lib" / f"libmoe_rt.so.{ABI}"
    return path if path.is_file() else None


class Library:
    """A loaded artifact: its code, and the runtime's functions as it sees them."""

    def __init__(self, manifest: Manifest, path: Path) -> None:
        self.manifest = manifest
        self.path = path
        machine = platform.machine()
        platforms = {str(t.get("platform", "")).split("-")[0] for t in manifest.targets} - {"", machine}
        if platforms and machine in ("x86_64", "aarch64"):
            fail(f"{path}: compiled for {', '.join(sorted(platforms))}, and this machine is {machine}")
        _check_elf(path)
        runtime = _own_runtime()
        try:
            if runtime:
                # Kept loaded: the library finds it by its name.
                self._runtime = ctypes.CDLL(str(runtime))
            self.dll = ctypes.CDLL(str(path.absolute()))
            self.init = self.dll.moe_rt_init_sized
            self.pack = self.dll.moe_pack
        except (OSError, AttributeError) as error:
            hint = ""
            if "libmoe_rt.so" in str(error):
                hint = "; set MOE_MLIR_RUNTIME to a libmoe_rt.so, or compile the model again"
            elif "libgomp" in str(error):
                hint = "; install GCC's OpenMP library (Debian: libgomp1)"
            fail(f"{path}: cannot load: {error}{hint}")
        self.init.argtypes = [c_void_p, c_size_t, c_int32]
        self.init.restype = None
        self.pack.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p, c_size_t]
        self.pack.restype = c_int
        self.features: int = self._features()
        for function in manifest.functions:
            found = self._text(function.code + "__id")
            if found != manifest.id:
                what = f"their ids are {found} and {manifest.id}" if found else \
                    f"no '{function.code}__id' in the library"
                fail(f"{path} and {manifest.path} are from different runs of moe-compile ({what})")

    def _features(self) -> int:
        features = self.dll.moe_rt_cpu_features
        features.restype = c_uint64
        return int(features())

    def _text(self, symbol: str) -> str:
        """The characters of a constant of the library."""
        try:
            found = ctypes.c_char.in_dll(self.dll, symbol)
        except ValueError:
            return ""
        return ctypes.string_at(ctypes.addressof(found)).decode()

    def _symbol(self, name: str) -> Any:
        try:
            # Not an attribute: that one would share argtypes between callers.
            return self.dll[name]
        except AttributeError:
            fail(f"{self.path}: has no symbol {name!r}, which its manifest names")

    def entry(self, function: Function) -> Tuple[Any, Any]:
        """`NAME__invoke` and `NAME__invoke_workspace`."""
        invoke, workspace = self._symbol(function.invoke), self._symbol(function.invoke + "_workspace")
        invoke.restype = c_int
        workspace.restype = c_size_t
        return invoke, workspace

    def variant(self, function: Function) -> Optional[str]:
        """The name of the target whose code runs here; None if there is none."""
        if not function.variant:
            return None
        variant = self._symbol(function.variant)
        variant.restype = c_char_p
        name = variant()
        return name.decode() if name else None

    def variant_on(self, function: Function, rt: Any) -> Optional[str]:
        """The same where a runtime is for."""
        if not function.variant_on:
            fail(f"{self.path}: was compiled before there were layers for several devices; compile the model again")
        variant = self._symbol(function.variant_on)
        variant.restype = c_char_p
        name = variant(rt)
        return name.decode() if name else None

    def workspace_on(self, function: Function) -> Any:
        """`NAME__invoke_workspace_on`."""
        workspace = self._symbol(function.invoke + "_workspace_on")
        workspace.restype = c_size_t
        return workspace

    def plans(self, function: Function) -> List[MoePackPlan]:
        """How each packed argument is packed, in the order of the arguments."""
        names = [a.name for a in function.arguments if a.packed]
        if not names:
            return []
        try:
            first = MoePackPlan.in_dll(self.dll, function.plans or function.code + "__plans")
        except ValueError:
            fail(f"{self.path}: has no plans for packing; compile the model again")
        # Later versions have longer ones: the fields that are known stay where they are.
        plans = [MoePackPlan.from_address(ctypes.addressof(first) + i * first.size) for i in range(len(names))]
        for plan, name in zip(plans, names):
            if plan.size != first.size or plan.size < ctypes.sizeof(MoePackPlan) or plan.name != name.encode():
                fail(f"{self.path}: its plan for packing {name!r} is not one this package knows; install its version")
        return plans


    def target_of(self, function: Function, argument: str, layout: str) -> Optional[str]:
        """The first target that reads a packed argument in the layout of this id; None if none does."""
        own = next(f for f in self.manifest.functions if f.name == function.name)
        for target in self.manifest.targets:
            for plan in self.plans(own.for_target(target["name"])):
                if plan.name.decode() == argument and plan.id.decode() == layout:
                    return str(target["name"])
        return None


_libraries: Dict[Tuple[int, int, str], Library] = {}
_lock = threading.Lock()


def open_library(manifest: Manifest, path: Path) -> Library:
    """The library `path` of `manifest`, loaded once a file and never unloaded."""
    try:
        status = os.stat(path)
    except OSError as error:
        fail(f"{path}: cannot read: {error.strerror}; an artifact is BASE.so beside BASE.json")
    key = (status.st_dev, status.st_ino, manifest.id)
    with _lock:
        library = _libraries.get(key)
        if library is None:
            library = _libraries[key] = Library(manifest, path)
        return library
