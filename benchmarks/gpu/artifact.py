# ===- artifact.py - Compiled layers as a program calls them ---------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Compiled layers and the runtime by ctypes, as moe_cuda.h has them. It knows addresses
only, so that it is the same with and without PyTorch."""

import ctypes
import hashlib
import json
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from dataclasses import dataclass
from pathlib import Path

from blocks import FORMATS, Packed
from report import Failure

ABI = 2  # of moe_rt.h
LIBRARY, OPENMP = "libmoe_rt.so", "libgomp.so.1"  # of a folder; the first may need the second
# What a layer takes and returns; and what some take, in f32 [experts, inner or hidden].
TENSORS = {"x", "experts.gate_up", "experts.down_proj", "routing.indices", "routing.weights", "y"}
BIASES = {"experts.gate_proj_bias", "experts.up_proj_bias", "experts.down_proj_bias"}
MESSAGE_BYTES = 512
ROWS = ("e4m3",)  # of moe-compile's --activations


class DeviceError(RuntimeError):
    """A call that failed, and how."""


@dataclass(frozen=True)
class Shape:
    experts: int
    hidden: int
    inner: int
    slots: int  # experts a token


class Launch(ctypes.Structure):
    """The beginning of a moe_launch."""
    _fields_ = [("size", c_size_t), ("image", c_void_p), ("kernel", c_char_p)]


class Runtime(ctypes.Structure):
    """A moe_rt."""
    _fields_ = [("abi", c_uint32), ("num_threads", c_int32), ("size", c_size_t), ("parallel_for", c_void_p),
                ("error", c_void_p), ("trace", c_void_p), ("user", c_void_p), ("launch", c_void_p)]


ErrorHook = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_char_p)
LaunchHook = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Launch))

# Of the kinds of devices, behind moe_cuda_ or moe_vulkan_.
SIGNATURES = {
    "open": (c_int, [c_int, c_void_p, c_void_p, c_size_t]),
    "close": (None, [c_void_p]),
    "rt": (c_void_p, [c_void_p]),
    "error": (c_char_p, [c_void_p]),
    "allocate": (c_void_p, [c_void_p, c_size_t]),
    "free": (None, [c_void_p, c_void_p]),
    "copy_to": (c_int, [c_void_p, c_void_p, c_void_p, c_size_t]),
    "copy_from": (c_int, [c_void_p, c_void_p, c_void_p, c_size_t]),
    "synchronize": (c_int, [c_void_p]),
}


def load(path):
    try:
        return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise Failure(str(error)) from None


def card():
    """The name of device 0. Makes no context on it, as opening it would."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise DeviceError(f"there is no driver for NVIDIA's GPUs: {error}") from None
    device, name = c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceGetName(
            name, len(name), device):
        raise DeviceError("the driver for NVIDIA's GPUs finds none")
    return name.value.decode()


class Device:
    """Device 0, of CUDA in its primary context, which is PyTorch's, and its memory."""

    def __init__(self, folder, kind="cuda"):
        folder = Path(folder).resolve()
        if (folder / OPENMP).is_file():
            load(folder / OPENMP)
        self.lib = load(folder / LIBRARY)
        self.lib.moe_status_string.restype = c_char_p
        self.calls = {}
        for name, (result, arguments) in SIGNATURES.items():
            self.calls[name] = function = getattr(self.lib, f"moe_{kind}_{name}")
            function.restype, function.argtypes = result, arguments
        if kind == "cuda":
            self.lib.moe_cuda_set_stream.argtypes = [c_void_p, c_void_p]
        self.handle, self.kind, message = c_void_p(), kind, ctypes.create_string_buffer(MESSAGE_BYTES)
        if self.calls["open"](0, ctypes.byref(self.handle), message, len(message)):
            raise DeviceError(message.value.decode(errors="replace"))
        self.address = self.calls["rt"](self.handle)
        self.rt = Runtime.from_address(self.address)
        if self.rt.abi != ABI:
            raise Failure(f"libmoe_rt.so has ABI {self.rt.abi}; this knows {ABI}")
        self.said, self.parts, self.launched = [], None, []
        self.launch = self.rt.launch
        self.start = LaunchHook(self.launch)
        # Kept as long as they are called.
        self.hooks = (ErrorHook(lambda rt, status, text: self.said.append(text.decode(errors="replace"))),
                      LaunchHook(self.filter))
        self.rt.error, self.filtering = (ctypes.cast(hook, c_void_p).value for hook in self.hooks)

    def filter(self, rt, launch):
        """Starts the kernels of some parts only, and notes all."""
        name = launch.contents.kernel.decode()
        self.launched.append(name)
        return self.start(rt, launch) if self.parts is None or is_of(name, self.parts) else 0

    def call(self, function, *arguments, stream=0, parts=None, noting=False):
        """A layer on a stream, or of its kernels those of `parts`; as the runtime
        is, without Python between, if neither is asked for. Returns the kernels' names
        if `noting`."""
        if self.kind == "cuda":
            self.lib.moe_cuda_set_stream(self.handle, stream)
        self.said, self.parts, self.launched = [], parts, []
        self.rt.launch = self.filtering if noting or parts is not None else self.launch
        status = function(self.address, *arguments)
        if status:
            what = self.lib.moe_status_string(status).decode()
            raise DeviceError(f"{what} ({status}): {'; '.join(self.said) or 'nothing was said'}")
        return self.launched

    @property
    def name(self):
        if self.kind == "cuda":
            return card()
        self.lib.moe_vulkan_name.restype, self.lib.moe_vulkan_name.argtypes = c_char_p, [c_void_p]
        return self.lib.moe_vulkan_name(self.handle).decode()

    def check(self, status):
        if status:
            raise DeviceError(self.calls["error"](self.handle).decode(errors="replace"))

    def allocate(self, size):
        address = self.calls["allocate"](self.handle, size)
        if not address:
            self.check(1)
        return address

    def free(self, address):
        self.calls["free"](self.handle, address)

    def write(self, address, data):
        self.check(self.calls["copy_to"](self.handle, address, data, len(data)))

    def read(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.check(self.calls["copy_from"](self.handle, data, address, size))
        return data.raw

    def synchronize(self):
        self.check(self.calls["synchronize"](self.handle))


def is_of(kernel, parts):
    """Whether a kernel, FUNCTION_PART or FUNCTION_PART_HOW, is of one of the parts."""
    return any(f"_{part}_" in f"{kernel}_" for part in parts)


def models(folder):
    """Those that a folder has artifacts of, the small one first."""
    if not (Path(folder) / LIBRARY).is_file():
        raise Failure(f"{folder} has no {LIBRARY}; make.sh makes folders that have all")
    paths = [path for path in Path(folder).glob("*.json") if path.with_suffix(".so").is_file()]
    return sorted((path.stem for path in paths), key=lambda name: (name != "small", name))


def digest(folder, model):
    return hashlib.sha256((Path(folder) / f"{model}.so").read_bytes()).hexdigest()[:12]


def tensors_of(function):
    """By their names, and in their order."""
    return {tensor["name"]: tensor for tensor in function["arguments"] + function["results"]}


def format_of(model):
    """That of its weights, of MODEL.FORMAT or MODEL.FORMAT+ROWS; None for bf16."""
    name = model.rpartition(".")[2].partition("+")[0]
    return name if name in FORMATS else None


def rows_of(model):
    """What rows that meet them become, where there are many; None for bf16."""
    rows = model.rpartition("+")[2]
    return rows if rows in ROWS and format_of(model) else None


def is_plain(tensor, nbytes):
    """Whether weights are in bf16, row by row."""
    packed = tensor["packed"]
    return (packed["layout"] == "panels" and packed["columns"] == packed["k_block"] == 1 and
            not packed["interleave"] and packed["dtype"] == "bf16" and tensor["shape"] == [nbytes])


def is_blocks(tensor):
    """Whether they are in blocks, the parts one after another."""
    packed = tensor["packed"]
    return (packed["layout"] == "blocks" and not packed["interleave"] and
            tensor["shape"] == [Packed.of(packed).nbytes])


def read(folder, model):
    """The manifest's function, and its shape; or Failure, where it is not what is
    measured here."""
    path = Path(folder) / f"{model}.json"
    try:
        function, = json.loads(path.read_text())["functions"]
        tensors = tensors_of(function)
        if set(tensors) not in (TENSORS, TENSORS | BIASES) or function["sizes"] != ["T"]:
            raise Failure(f"{path}: has {', '.join(tensors)}; what is measured has {', '.join(sorted(TENSORS))}")
        experts, inner, hidden = tensors["experts.gate_up"]["packed"]["sources"][0]["shape"]
        matrix = 2 * experts * inner * hidden  # bytes
        for name, size in (("experts.gate_up", 2 * matrix), ("experts.down_proj", matrix)):
            if format_of(model) is None and not is_plain(tensors[name], size):
                raise Failure(f"{path}: '{name}' is not in bf16, row by row")
            if format_of(model) and not is_blocks(tensors[name]):
                raise Failure(f"{path}: '{name}' is not in blocks of {format_of(model)}")
        return function, Shape(experts, hidden, inner, tensors["routing.indices"]["shape"][1])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise Failure(f"{path}: not the manifest of a layer: {error!r}") from None


class Artifact:
    """The layer of a model, NAME.so and NAME.json of a folder."""

    def __init__(self, device, folder, model, function=None):
        """`function` of its manifest, if it need not be what is measured here."""
        self.device, self.folder, self.model = device, Path(folder), model
        if not function:
            function, self.shape = read(folder, model)
        self.tensors = list(tensors_of(function))
        self.biases = {name: t["shape"] for name, t in tensors_of(function).items() if name in BIASES}
        self.packed = {name: t["packed"] for name, t in tensors_of(function).items() if "packed" in t}
        lib = load(Path(folder).resolve() / f"{model}.so")
        self.function = getattr(lib, function["invoke"])
        self.function.restype, self.function.argtypes = c_int, [c_void_p] * 4 + [c_size_t]
        self.workspace = getattr(lib, f"{function['invoke']}_workspace")
        self.workspace.restype, self.workspace.argtypes = c_size_t, [c_void_p]

    def workspace_bytes(self, tokens):
        return self.workspace(ctypes.byref(c_int64(tokens)))

    def call(self, tokens, addresses, workspace, workspace_bytes, **how):
        """With the addresses of arguments and results by their names."""
        buffers = (c_void_p * len(self.tensors))(*(addresses[name] for name in self.tensors))
        return self.device.call(self.function, ctypes.byref(c_int64(tokens)), buffers, workspace, workspace_bytes,
                                **how)
