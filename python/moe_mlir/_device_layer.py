# ===- _device_layer.py - Layers on devices --------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A compiled layer that starts kernels and waits for nothing."""

from __future__ import annotations

from ctypes import c_size_t, c_void_p
from typing import Any, Dict, Optional, Tuple

import numpy as np

from ._arrays import Kind, find_kind
from ._calls import Binding
from ._device_arrays import (DeviceArray, TorchDeviceKind, as_argument, find_device_kind, own_stream, to_device)
from ._devices import Device
from ._errors import STATUS_NAMES, Error, fail
from ._layer import Layer
from ._manifest import Function
from ._runtime import Library


class DeviceLayer(Layer):
    """A Layer on a device; made by load(device=).

    Calls take arrays on the device and return as soon as the kernels are started.
    """

    def __init__(self, library: Library, function: Function, device: Device) -> None:
        self._device = device
        super().__init__(library, function, None)
        on = library.workspace_on(function)
        self._workspace = lambda sizes: on(device.rt, sizes)

    @property
    def device(self) -> str:
        """Where it runs, such as 'cuda:0'."""
        return self._device.name

    @property
    def variant(self) -> Optional[str]:
        """Which of the targets runs on the device."""
        return self._library.variant_on(self._function, self._device.rt)

    def __copy__(self) -> "DeviceLayer":
        copy = DeviceLayer(self._library, self._function, self._device)
        copy.weights = self.weights
        return copy

    def to_device(self, array: Any, *, stream: Any = None) -> DeviceArray:
        """Copies an array of the host, of NumPy or with DLPack, to the layer's device, and waits for that."""
        found, kind = find_kind(array, "array", "")
        if not isinstance(found, np.ndarray):
            found = np.from_dlpack(array)
            kind = find_kind(found, "array", "")[1]
        dtype = kind.name_of(found)
        # NumPy's stand-in for bf16, which no layer takes as it is.
        dtype = "bf16" if dtype == "uint16" else dtype
        return to_device(self._device, np.ascontiguousarray(found), dtype, own_stream(self._device, stream))

    def _bind_weights(self, weights: Any) -> Dict[str, int]:
        host = super()._bind_weights(weights)
        return weights._on(self._device, host)

    def _find(self, array: Any, name: str, dtype: str, shape: Any) -> Tuple[Any, Kind]:
        return as_argument(self._kind_of_call, array, name)

    def __call__(self, x: Any, /, *, out: Any = None, routing: Any = None, stream: Any = None, **inputs: Any) -> Any:
        """Starts the layer's kernels, and does not wait for them.

        x, routing, inputs: as Layer takes them, on the layer's device: tensors of
            PyTorch, arrays with DLPack, or DeviceArrays. Nothing is copied.
        out: a tensor of PyTorch or a DeviceArray that the result is written to.
        stream: where kernels are started, as __dlpack__(stream=) takes it; the
            default stream without. Tensors of PyTorch are used on its current one.

        Returns y: a tensor of PyTorch if x is one, or else a DeviceArray.
        """
        kind = find_device_kind(self._device, x, stream)
        with self._device.lock:
            self._kind_of_call = kind
            return self._start(kind, as_argument(kind, x, self._x_arg.name)[0], out, routing, inputs)

    def _start(self, kind: Any, x: Any, out: Any, routing: Any, inputs: Dict[str, Any]) -> Any:
        key = x.shape if not self._sized else (x.shape, *self._other_shapes(routing, inputs))
        plan = self._plans.get(key)
        if plan is None:
            if kind.location(x):
                kind.fails(x, self._x_arg, self._x_arg.shape)
            plan = self._make_plan(key, x, routing, inputs, out)
        binding: Binding = self._binding
        call = binding.calls.pop() if binding.calls else self._make_call(binding)
        buffers = call.buffers
        try:
            buffers[self._x] = kind.address(x, self._x_arg, plan.shapes[self._x_arg.name])
            alive = self._put_inputs(buffers, binding, plan, routing, inputs)
            y = self._put_results(buffers, plan, kind, out)
            if isinstance(kind, TorchDeviceKind):
                # PyTorch gives it to others on this stream alone, or behind it.
                memory = kind.empty("u8", (plan.workspace,))
                address, size = kind.start(memory), plan.workspace
            else:
                address, size = self._device.workspace(plan.workspace, kind.stream)
            self._device.use(kind.stream)
            self._device.take_message()
            status = self._invoke(self._device.rt, plan.sizes, buffers, c_void_p(address), c_size_t(size))
            if status:
                said = self._device.take_message() or STATUS_NAMES.get(status, f"status {status}")
                raise Error(said if said.startswith(self._where + ":") else f"{self._where}: {said}", status)
        finally:
            binding.calls.append(call)
            alive = None
        return y
