# ===- driver.py - What is needed of NVIDIA's driver -----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""libcuda by ctypes: modules, kernels, memory, and maps for the copy engine. With
PyTorch in the process, both use the device's primary context."""

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_uint64, c_ushort, c_void_p

# What each function takes: without it ctypes would cut addresses to 32 bits.
SIGNATURES = {
    "cuInit": [c_uint],
    "cuDeviceGet": [c_void_p, c_int],
    "cuDeviceGetName": [c_void_p, c_int, c_int],
    "cuDeviceGetAttribute": [c_void_p, c_int, c_int],
    "cuDevicePrimaryCtxRetain": [c_void_p, c_int],
    "cuCtxSetCurrent": [c_void_p],
    "cuCtxSynchronize": [],
    "cuModuleLoadDataEx": [c_void_p, c_void_p, c_uint, c_void_p, c_void_p],
    "cuModuleGetFunction": [c_void_p, c_void_p, c_char_p],
    "cuFuncSetAttribute": [c_void_p, c_int, c_int],
    "cuLaunchKernel": [c_void_p, *[c_uint] * 7, c_void_p, c_void_p, c_void_p],
    "cuTensorMapEncodeTiled": [c_void_p, c_int, c_uint, *[c_void_p] * 5, *[c_int] * 4],
    "cuMemAlloc_v2": [c_void_p, c_size_t],
    "cuMemcpyHtoD_v2": [c_uint64, c_void_p, c_size_t],
    "cuMemcpyDtoH_v2": [c_void_p, c_uint64, c_size_t],
    "cuMemsetD16_v2": [c_uint64, c_ushort, c_size_t],
    "cuGetErrorName": [c_int, c_void_p],
    "cuGetErrorString": [c_int, c_void_p],
}
MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76  # attributes of a device
MAX_DYNAMIC_SHARED = 8  # of a function
FREE_SHARED_BYTES = 48 << 10  # that a kernel may have without asking
ERROR_LOG, ERROR_LOG_BYTES = 5, 6  # options of loading a module
BFLOAT16, SWIZZLE_128B, PROMOTE_256B = 9, 3, 3  # of a tensor map
MAP_BYTES, MAP_ALIGNMENT = 128, 64


class CudaError(RuntimeError):
    """A call that failed, and how."""


class Driver:
    def __init__(self):
        try:
            self.lib = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise CudaError(f"there is no driver for NVIDIA's GPUs: {error}") from None
        for name, arguments in SIGNATURES.items():
            getattr(self.lib, name).argtypes = arguments
        self.call("cuInit", 0)
        device, name = c_int(), ctypes.create_string_buffer(256)
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.device = device.value
        self.call("cuDeviceGetName", name, len(name), self.device)
        self.card = name.value.decode()
        self.multiprocessors = self.attribute(MULTIPROCESSORS)
        self.capability = self.attribute(MAJOR), self.attribute(MINOR)

    def call(self, name, *arguments, about=""):
        status = getattr(self.lib, name)(*arguments)
        if status:
            texts = []
            for what in ("cuGetErrorName", "cuGetErrorString"):
                text = c_char_p()
                unknown = getattr(self.lib, what)(status, ctypes.byref(text))
                texts.append("unknown" if unknown or not text.value else text.value.decode())
            raise CudaError(f"{name}{about and f' of {about}'} returned {status}, {texts[0]}: {texts[1]}")

    def attribute(self, number):
        value = c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), number, self.device)
        return value.value

    def enter(self):
        """The primary context, for this thread; the constructor makes none."""
        context = c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self.call("cuCtxSetCurrent", context)
        return self

    def synchronize(self):
        self.call("cuCtxSynchronize")

    def load(self, path):
        """A module, of a cubin or of PTX, which the driver then compiles."""
        log = ctypes.create_string_buffer(8192)
        options = (c_int * 2)(ERROR_LOG, ERROR_LOG_BYTES)
        values = (c_void_p * 2)(ctypes.addressof(log), len(log))
        module, code = c_void_p(), path.read_bytes() + b"\0"
        try:
            self.call("cuModuleLoadDataEx", ctypes.byref(module), code, 2, options, values, about=path)
        except CudaError as error:
            raise CudaError(f"{error}\n{log.value.decode(errors='replace')}".strip()) from None
        return module

    def kernel(self, module, name, threads, shared):
        """A function that launches the kernel: on a grid, with ctypes' values."""
        function = c_void_p()
        self.call("cuModuleGetFunction", ctypes.byref(function), module, name.encode(), about=name)
        if shared > FREE_SHARED_BYTES:
            self.call("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED, shared, about=name)

        def launch(grid, values, stream=0):
            pointers = (c_void_p * len(values))(*map(ctypes.addressof, values))
            self.call("cuLaunchKernel", function, grid, 1, 1, threads, 1, 1, shared, stream, pointers, None,
                      about=name)

        return launch

    def tensor_map(self, address, rows, columns, box_rows):
        """The bytes that tell the copy engine of a matrix in bf16, in boxes of
        `box_rows` rows and 128 bytes, swizzled; zeros behind its last row."""
        room = ctypes.create_string_buffer(MAP_BYTES + MAP_ALIGNMENT)
        aligned = -(-ctypes.addressof(room) // MAP_ALIGNMENT) * MAP_ALIGNMENT
        self.call("cuTensorMapEncodeTiled", aligned, BFLOAT16, 2, address,
                  (c_uint64 * 2)(columns, rows), (c_uint64 * 1)(columns * 2), (c_uint * 2)(64, box_rows),
                  (c_uint * 2)(1, 1), 0, SWIZZLE_128B, PROMOTE_256B, 0, about=f"{rows} x {columns}")
        return ctypes.string_at(aligned, MAP_BYTES)

    def allocate(self, size):
        address = c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), size, about=f"{size} bytes")
        return address.value

    def fill(self, address, pattern, count):
        """`count` words of 16 bits."""
        self.call("cuMemsetD16_v2", address, pattern, count)

    def write(self, address, data):
        """What has NumPy's buffer interface, or bytes."""
        view = bytes(data)
        self.call("cuMemcpyHtoD_v2", address, view, len(view))

    def read(self, address, size):
        data = ctypes.create_string_buffer(size)
        self.call("cuMemcpyDtoH_v2", data, address, size)
        return data.raw
