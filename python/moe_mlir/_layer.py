# ===- _layer.py - Calling compiled layers --------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A compiled layer as a Python function."""

from __future__ import annotations

import os
import re
from ctypes import c_int64, c_void_p
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _devices, _manifest, _packing
from ._arrays import KINDS, Kind, find_kind, nbytes, torch_kind
from ._calls import Binding, Call, Plan, Workspace, workspaces
from ._errors import fail, path_of
from ._manifest import Arg, Function
from ._runtime import Library, Runtime, open_library
from ._weights import Weights

PathLike = Union[str, "os.PathLike[str]"]
_ROUTING = re.compile(r"routing\.(indices|weights|counts)((?:\.\d+)?)")


class Routing(NamedTuple):
    """Which experts each of T tokens goes to.

    indices: i32 [T, K], the experts of each token, -1 in an unused slot.
    weights: f32 [T, K], their weights, 0 in an unused slot.
    counts: i32 [E], how many tokens each expert got; None in what is given to a call.
    """

    indices: Any
    weights: Any
    counts: Any = None


#: How many shapes of calls a layer remembers.
_MAX_PLANS = 1024


class Layer:
    """A function of an artifact that can be called; made by load().

    Layers may be called by any number of threads at once. A call holds no lock of
    the interpreter while the compiled code runs.
    """

    #: What the compiled function takes and returns, in order.
    arguments: Tuple[Arg, ...]
    results: Tuple[Arg, ...]

    def __init__(self, library: Library, function: Function, threads: Optional[int]) -> None:
        self._library = library
        self._function = function
        self._threads = threads
        self._invoke, self._workspace = library.entry(function)
        self._where = function.name
        self.arguments = function.arguments
        self.results = function.results
        index = {arg.name: i for i, arg in enumerate(function.arguments)}
        x = _packing.first_input(function)
        if x is None:
            fail(f"{library.path}: function {function.name!r} has no argument but packed weights; use the C interface")
        self._x = index[x]
        self._x_arg = function.arguments[self._x]
        # A uint16 may be bf16: only then the type of x does not tell its kind.
        self._is_fast = self._x_arg.dtype != "bf16"
        self._routings = self._find_routings(index)
        taken = {x, *(name for pair in self._routings for name in pair)}
        self._named = {name: arg for name, arg in zip(index, function.arguments)
                       if name not in taken and not arg.packed}
        self._index = index
        self._first_result = len(function.arguments)
        self._routed = self._find_routed()
        own = [i for i in range(len(function.results)) if not any(i in group for group in self._routed)]
        self._outputs: List[int] = own
        self._before_outputs = [*range(len(function.arguments)), *(self._first_result + i for i in own)]
        self._is_simple = len(own) == 1 and len(function.results) == 1
        self._y = function.results[own[0]] if own else None
        # Sizes that x does not tell are told by others, by name or of the routing.
        known = {dim for dim in self._x_arg.shape if isinstance(dim, str)}
        self._sized = [arg for arg in function.arguments if arg.name != x and
                       any(isinstance(dim, str) and dim not in known for dim in arg.shape)]
        self._plans: Dict[Any, Plan] = {}
        self._binding = Binding(None, {}, list(self._named))
        self._has_more = bool(self._named or self._routings)
        self._has_packed = any(arg.packed for arg in function.arguments)

    def _find_routings(self, index: Dict[str, int]) -> List[Tuple[str, str]]:
        """The arguments of each routing that is given."""
        found = []
        for name in index:
            match = _ROUTING.fullmatch(name)
            if match and match.group(1) == "indices" and f"routing.weights{match.group(2)}" in index:
                found.append((name, f"routing.weights{match.group(2)}"))
        return found

    def _find_routed(self) -> List[Tuple[int, int, Optional[int]]]:
        """The results of each routing that is recorded."""
        index = {arg.name: i for i, arg in enumerate(self.results)}
        found: List[Tuple[int, int, Optional[int]]] = []
        for name, i in index.items():
            match = _ROUTING.fullmatch(name)
            if match and match.group(1) == "indices" and f"routing.weights{match.group(2)}" in index:
                found.append((i, index[f"routing.weights{match.group(2)}"],
                              index.get(f"routing.counts{match.group(2)}")))
        return found

    # -- What it is ------------------------------------------------------------

    @property
    def name(self) -> str:
        """The function's name in the model."""
        return self._function.name

    @property
    def path(self) -> Path:
        """The library."""
        return self._library.path

    @property
    def targets(self) -> Tuple[str, ...]:
        """The chips that there is code for, the best last."""
        return tuple(target["name"] for target in self._library.manifest.targets)

    @property
    def variant(self) -> Optional[str]:
        """Which of the targets runs on this machine; None if none does."""
        return self._library.variant(self._function)

    @property
    def model_tensors(self) -> Tuple[Arg, ...]:
        """What pack() wants: the weights as the model has them."""
        return tuple(_packing.wanted(self._function))

    def workspace_bytes(self, *sizes: int, **named: int) -> int:
        """Bytes of scratch memory that a call takes, for the sizes of a call (mostly T, the tokens).

        0 for sizes that no call may have."""
        names = self._function.sizes
        values = dict(zip(names, sizes), **named)
        if len(sizes) > len(names) or set(values) != set(names):
            fail(f"{self.name}: expected the sizes {', '.join(names) or '(none)'}")
        for name in names:
            if not isinstance(values[name], int) or not 0 <= values[name] < 2**31:
                fail(f"{self.name}: {name} is {values[name]!r}, expected an integer from 0 to {2**31 - 1}")
        array = (c_int64 * max(len(names), 1))(*[values[name] for name in names])
        return int(self._workspace(array))

    def __repr__(self) -> str:
        given = ", ".join(str(arg) for arg in self.arguments if not arg.packed)
        return f"<moe_mlir.Layer {self.name}({given}) -> {', '.join(map(str, self.results))}>"

    def __copy__(self) -> "Layer":
        copy = Layer(self._library, self._function, self._threads)
        copy.weights = self.weights
        return copy

    def __deepcopy__(self, memo: Any) -> "Layer":
        return self.__copy__()  # Code and packed weights are only read.

    def __reduce__(self) -> Any:
        fail(f"{self.name}: a layer is code of this process, which cannot be pickled; load {self.path} where it is "
             "needed")

    # -- Weights ---------------------------------------------------------------

    @property
    def weights(self) -> Optional[Weights]:
        """The packed weights; set them to a Weights or the path of a file."""
        return self._binding.weights

    @weights.setter
    def weights(self, value: Union[Weights, PathLike, None]) -> None:
        weights = value if value is None or isinstance(value, Weights) else Weights.open(value)
        bound = self._bind_weights(weights) if weights is not None else {}
        self._binding = Binding(weights, bound, [name for name in self._named if name not in bound])

    def _bind_weights(self, weights: Weights) -> Dict[str, int]:
        """Where each weight is for the code to read; raises Error unless all fit."""
        return weights._bind(self._library, self._function)

    def pack(self, tensors: Mapping[str, Any]) -> Weights:
        """Packs the model's tensors, in memory, into what `weights` takes.

        tensors: by the names of `model_tensors`, of their shapes (dimensions of 1
            in front do not matter), f32, bf16 or f16: they are rounded to what
            the artifact has. Weights in formats: their storage tensors.
        """
        if not isinstance(tensors, Mapping):
            fail(f"tensors: is a {type(tensors).__name__}; expected a dict of arrays by the names of model_tensors")
        return _packing.pack(self._library, self._function, tensors, self._threads)

    # -- Calls -----------------------------------------------------------------

    def __call__(self, x: Any, /, *, out: Any = None, routing: Any = None, **inputs: Any) -> Any:
        """Runs the layer.

        x: the first argument, mostly [T, H] of f32, bf16 or f16 as `arguments`
            says: of NumPy, of PyTorch or with DLPack, contiguous, on the CPU. bf16
            of NumPy is ml_dtypes.bfloat16, or uint16 that holds the bits.
        out: an array of x's kind that the result is written to, of its type and
            shape; a tuple of them if there are several. It must not overlap x.
        routing: a Routing, if the layer was compiled with --replay-routing or for
            the experts alone; a list of them for several routers.
        inputs: other arguments, by name, and weights that are not packed.

        Returns y as an array of x's kind (NumPy's for DLPack); a tuple if there
        are several; followed by a Routing with --record-routing. Raises Error.
        """
        kind = KINDS.get(type(x)) if self._is_fast else None
        if kind is None:
            x, kind = find_kind(x, self._x_arg.name, self._x_arg.dtype, self._x_arg.shape)
        key = x.shape if not self._sized else (x.shape, *self._other_shapes(routing, inputs))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make_plan(key, x, routing, inputs, out)
        binding = self._binding  # Stays until the end of the call, and the weights with it.
        try:
            call = binding.calls.pop()
        except IndexError:
            call = self._make_call(binding)
        try:
            workspace = workspaces.pop()
        except IndexError:
            workspace = Workspace()
        try:
            buffers = call.buffers
            buffers[self._x] = kind.address(x, self._x_arg, plan.shapes[self._x_arg.name])
            alive = self._put_inputs(buffers, binding, plan, routing, inputs) \
                if self._has_more or inputs or routing is not None else None
            if not self._is_simple:
                y = self._put_results(buffers, plan, kind, out)
            elif out is None:
                y = kind.empty(self._y.dtype, plan.results[0])  # type: ignore[union-attr]
                buffers[self._first_result] = kind.start(y)
            else:
                y = self._put_out(buffers, plan, 0, out)
            if workspace.room < plan.workspace:
                workspace.grow(plan.workspace)
            status = self._invoke(call.rt, plan.sizes, buffers, workspace.pointer, workspace.size)
            if status:
                raise call.runtime.error(self._where, status)
        finally:
            binding.calls.append(call)
            workspaces.append(workspace)
            alive = None  # The memory of all arguments had to stay until here.
        return y

    def _make_call(self, binding: Binding) -> Call:
        if self._has_packed and binding.weights is None:
            fail(f"{self.name}: has no weights; load(..., weights=), or set .weights to what .pack() returns")
        buffers = (c_void_p * max(len(self.arguments) + len(self.results), 1))()
        for name, address in binding.addresses.items():
            buffers[self._index[name]] = address
        return Call(buffers, Runtime(self._library, self._threads))

    def _pairs(self, routing: Any, inputs: Dict[str, Any]) -> List[Tuple[str, Any]]:
        """All arguments but x that are given, by name."""
        pairs = list(inputs.items())
        if not self._routings:
            if routing is not None:
                fail(f"{self.name}: takes no routing; compile with --replay-routing or part='experts'")
            return pairs
        expected = f"{self.name}: expected routing=Routing(indices i32 [T, K], weights f32 [T, K])"
        given = [routing] if len(self._routings) == 1 else routing
        if routing is None or not isinstance(given, (list, tuple)) or len(given) != len(self._routings):
            fail(expected if len(self._routings) == 1 else f"{expected}, a list of {len(self._routings)}")
        for names, one in zip(self._routings, given):
            if not isinstance(one, (list, tuple)) or not 2 <= len(one) <= 3:
                fail(expected)
            pairs += [(names[0], one[0]), (names[1], one[1])]
        return pairs

    def _other_shapes(self, routing: Any, inputs: Dict[str, Any]) -> List[Tuple[int, ...]]:
        given = dict(self._pairs(routing, inputs))
        shapes = []
        for arg in self._sized:
            if arg.name not in given:
                fail(f"{self.name}: argument {arg.name!r} is missing")
            shape = getattr(given[arg.name], "shape", ())
            shapes.append(tuple(int(n) for n in shape))
        return shapes

    def _find(self, array: Any, name: str, dtype: str, shape: Any) -> Tuple[Any, Kind]:
        """What to read an argument beside x as, or a result, and its kind."""
        kind = KINDS.get(type(array)) if dtype != "bf16" else None
        return (array, kind) if kind is not None else find_kind(array, name, dtype, shape)

    def _put_inputs(self, buffers: Any, binding: Binding, plan: Plan, routing: Any,
                    inputs: Dict[str, Any]) -> List[Any]:
        """Checks the arguments beside x and fills in where they are; returns what has to stay."""
        for name in binding.required:
            if name not in inputs:
                fail(f"{self.name}: argument {name!r} is missing (is it in the packed weights?)")
        alive = []
        for name, array in self._pairs(routing, inputs):
            at = self._index.get(name)
            if at is None or self.arguments[at].packed or name == self._x_arg.name:
                fail(f"{self.name}: no argument {name!r} that is given by its name; there are: "
                     f"{', '.join(self._named) or 'none'}")
            arg = self.arguments[at]
            array, kind = self._find(array, name, arg.dtype, arg.shape)
            buffers[at] = kind.address(array, arg, plan.shapes[name])
            alive.append(array)
        # What an earlier call gave in place of a bound weight is not this one's.
        for name, address in binding.addresses.items():
            if name in self._named and name not in inputs:
                buffers[self._index[name]] = address
        return alive

    def _put_results(self, buffers: Any, plan: Plan, kind: Kind, out: Any) -> Any:
        """Makes or checks the results and fills in where they are; returns what the call does."""
        given: Sequence[Any] = ()
        if out is not None:
            given = (out,) if len(self._outputs) == 1 else out
            if not isinstance(given, (list, tuple)) or len(given) != len(self._outputs):
                fail(f"{self.name}: out= has to be a tuple of {len(self._outputs)} arrays")
        arrays: List[Any] = [None] * len(self.results)
        for i, array in zip(self._outputs, given):
            arrays[i] = self._put_out(buffers, plan, i, array)
        for i, arg in enumerate(self.results):
            if arrays[i] is None:
                arrays[i] = kind.empty(arg.dtype, plan.results[i])
                buffers[self._first_result + i] = kind.start(arrays[i])
        values = [arrays[i] for i in self._outputs]
        values += [Routing(arrays[i], arrays[w], None if c is None else arrays[c]) for i, w, c in self._routed]
        return values[0] if len(values) == 1 else tuple(values)

    def _put_out(self, buffers: Any, plan: Plan, result: int, array: Any) -> Any:
        """Checks an array that a result is written to, and fills in where it is; returns it."""
        arg = self.results[result]
        array, kind = self._find(array, f"out ({arg.name})", arg.dtype, arg.shape)
        at = self._first_result + result
        address = kind.writable(array, arg, plan.results[result])
        end = address + plan.nbytes[at]
        # Results have to be memory of their own.
        for i in self._before_outputs[:self._first_result + self._outputs.index(result)]:
            begin = buffers[i]
            if begin and begin < end and address < begin + plan.nbytes[i]:
                name = (self.arguments + self.results)[i].name
                fail(f"out ({arg.name}): overlaps {name!r}; results need memory of their own")
        buffers[at] = address
        return array

    def _make_plan(self, key: Any, x: Any, routing: Any, inputs: Dict[str, Any], out: Any) -> Plan:
        """Binds the sizes to the shapes of what is given, and checks that all fit."""
        sizes: Dict[str, int] = {}
        given = {self._x_arg.name: x, **dict(self._pairs(routing, inputs))}
        outputs = [out] if len(self._outputs) == 1 else list(out or ())
        bound = [(arg, given[arg.name]) for arg in self.arguments if arg.name in given]
        bound += [(self.results[i], array) for i, array in zip(self._outputs, outputs) if array is not None]
        for arg, array in bound:
            shape = tuple(int(n) for n in getattr(array, "shape", ()))
            named = [dim for dim in arg.shape if isinstance(dim, str)]
            if named and len(shape) != len(arg.shape):
                fail(f"{arg.name}: shape is {list(shape)}, expected {arg.dtype}[{', '.join(map(str, arg.shape))}]")
            for dim, n in zip(arg.shape, shape):
                if isinstance(dim, str):
                    sizes.setdefault(dim, n)
        missing = [name for name in self._function.sizes if name not in sizes]
        if missing:
            fail(f"{self.name}: no argument that is given says how large {missing[0]} is; give out=")
        names = self._function.sizes
        array = (c_int64 * max(len(names), 1))(*[sizes[name] for name in names])

        def resolve(arg: Arg) -> Tuple[int, ...]:
            return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in arg.shape)

        shapes = {arg.name: resolve(arg) for arg in self.arguments}
        results = [resolve(arg) for arg in self.results]
        sizes_in_bytes = [nbytes(arg.dtype, shape) for arg, shape in
                          zip(self.arguments + self.results, [*shapes.values(), *results])]
        plan = Plan(array, int(self._workspace(array)), shapes, results, sizes_in_bytes)
        isKeyed = all(name in self._sizes_of_key() for name in names)
        if isKeyed:
            if len(self._plans) >= _MAX_PLANS:
                self._plans = {}
            self._plans[tuple(key)] = plan
        return plan

    def _sizes_of_key(self) -> List[Any]:
        dims = list(self._x_arg.shape)
        for arg in self._sized:
            dims += arg.shape
        return dims


def base_of(path: Any) -> Path:
    """The path of an artifact, by its name."""
    base = path_of(path, "artifact", "what compile() returned, or the path of BASE.so")
    if base.suffix not in (".so", ".json"):
        fail(f"{base}: not an artifact by its name; expected BASE.so or BASE.json")
    return base


def load(path: PathLike, *, function: Union[str, int, None] = None, weights: Union[Weights, PathLike, None] = None,
         threads: Optional[int] = None, device: Optional[str] = None) -> Layer:
    """Loads a compiled layer.

    path: BASE.so, with BASE.json beside it, as moe-compile or compile() leaves them.
    function: its name in the model or the number of its layer; not needed if there is one.
    weights: a .safetensors file of packed weights, which is mapped and never
        copied, or Weights. They have to be those of this artifact: names, types,
        bytes, alignment and layouts are checked.
    threads: how many a call uses at most; by default OMP_NUM_THREADS, or one for each
        CPU that the process may run on. Results do not depend on it.
    device: 'cpu', 'cuda', 'hip' or 'vulkan', or with the number of one, 'cuda:1'. Without,
        the CPU if the artifact has code for it, or else the first device that it is for.

    Raises Error if anything does not fit.
    """
    base = base_of(path)
    for file in (base.with_suffix(".so"), base.with_suffix(".json")):
        if not file.is_file():
            fail(f"{file}: no such file; an artifact is BASE.so beside BASE.json, as moe-compile leaves them")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or
                                not 1 <= threads <= 1 << 16):
        fail(f"threads={threads!r}: expected a number of at least 1")
    manifest = _manifest.read(base.with_suffix(".json"))
    library = open_library(manifest, base.with_suffix(".so"))
    chosen = _devices.choose(manifest, device)
    layer = Layer(library, manifest.select(function), threads) if chosen is None else \
        _load_on(library, manifest.select(function), *chosen)
    if weights is not None:
        layer.weights = weights
    return layer


def _load_on(library: Library, function: Function, api: _devices.Api, number: int) -> Layer:
    """The layer on a device."""
    from ._device_layer import DeviceLayer

    opened = _devices.open_device(library, api, number)
    target = library.variant_on(function, opened.rt)
    if target is None:
        names = ", ".join(t["name"] for t in library.manifest.targets)
        fail(f"{library.path}: has no code for {opened.name}; there is for {names}")
    return DeviceLayer(library, function.for_target(target), opened)


KINDS[np.ndarray] = find_kind(np.empty(0, np.float32), "", "f32")[1]
torch_kind()
