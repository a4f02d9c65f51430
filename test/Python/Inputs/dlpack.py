"""Whoever lends and takes arrays by DLPack, written from its header alone."""

import ctypes

import numpy as np


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter)]


api = ctypes.pythonapi
api.PyCapsule_New.restype = ctypes.py_object
api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
api.PyCapsule_GetPointer.restype = ctypes.c_void_p
api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b"used_dltensor"
CODES = {"i": 0, "u": 1, "f": 2}


class Producer:
    """Memory of the host that says it is a device's. `streams`: what it was asked for."""

    def __init__(self, array, device=(2, 0), strides=None, offset=0):
        self.array, self.device, self.strides, self.offset = array, device, strides, offset
        self.shape = array.shape
        self.streams = []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        strides = (ctypes.c_int64 * len(self.shape))(*self.strides) if self.strides else None
        self.kept = Managed(Tensor(self.array.ctypes.data, *self.device, len(self.shape),
                                   CODES[self.array.dtype.kind], self.array.dtype.itemsize * 8, 1, shape, strides,
                                   self.offset), None, Deleter())
        self.alive = shape, strides
        return api.PyCapsule_New(ctypes.addressof(self.kept), b"dltensor", None)


class Taken:
    """What somebody has who took an array: until release(), it is theirs."""

    def __init__(self, capsule):
        self.address = api.PyCapsule_GetPointer(capsule, b"dltensor")
        api.PyCapsule_SetName(capsule, USED)
        self.managed = Managed.from_address(self.address)
        tensor = self.managed.tensor
        self.device = tensor.device_type, tensor.device_id
        self.shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
        self.type = tensor.code, tensor.bits, tensor.lanes
        self.data = tensor.data + tensor.byte_offset

    def bytes(self, count):
        """Where a device's memory is the host's."""
        return np.frombuffer((ctypes.c_uint8 * count).from_address(self.data), np.uint8).copy()

    def release(self):
        self.managed.deleter(self.address)
