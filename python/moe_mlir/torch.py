# ===- torch.py - Compiled experts as an operation of PyTorch --------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""`torch.ops.moe_mlir.experts`, and the same without PyTorch's dispatcher.

The operation is one node in `torch.compile` and `torch.export`. It names its artifact
by a key, the id of the manifest, so that an exported file works on another machine:
the artifact is looked for in the folders of add_search_path(), of
`$MOE_MLIR_ARTIFACTS` and in the cache. Calling the operation costs some twenty
microseconds more than calling the compiled code, so that eager code uses Bound.
"""

from __future__ import annotations

import os
import shutil
import threading
from ctypes import c_int64, c_void_p
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple, Union

import torch

from . import _cache
from ._calls import Workspace, workspaces
from ._errors import Error, fail, path_of
from ._layer import Layer, load
from ._runtime import Runtime

__all__ = ["Bound", "Experts", "Prepared", "add_search_path", "experts", "find", "save_artifacts"]

DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
_TORCH = {name: dtype for dtype, name in DTYPES.items()}
_MAX_PLANS = 1024
NO_BACKWARD = "moe_mlir: compiled experts are for inference and have no gradient; train with another " \
    "experts_implementation, or call the model under torch.no_grad()"


class Experts:
    """A compiled module of experts.

    It computes y [T, H'] of x [T, H], indices i32 [T, K] and weights f32 [T, K] of a
    routing; an index outside of [0, E) is no expert. `key` is the id of its
    manifest, `packed_names` are the weights that a Bound takes, in order.
    """

    def __init__(self, layer: Layer) -> None:
        names = {arg.name: arg for arg in layer.arguments}
        needed = ("x", "routing.indices", "routing.weights")
        if any(name not in names for name in needed) or len(layer.results) != 1:
            fail(f"{layer.path}: no experts with a routing from outside; its arguments are {', '.join(names)}")
        self.layer = layer
        self.key: str = layer._library.manifest.id
        self.dtype = _TORCH[names["x"].dtype]
        self.hidden = int(names["x"].shape[1])
        self.output = int(layer.results[0].shape[1])
        self.slots = int(names["routing.indices"].shape[1])
        self.places = tuple(layer._index[name] for name in needed)
        self.packed_names = [arg.name for arg in layer.arguments if arg.name not in needed]
        self.packed_places = [layer._index[name] for name in self.packed_names]
        self.packed_bytes = [names[name].nbytes for name in self.packed_names]

    def check(self, packed: Sequence[torch.Tensor]) -> None:
        """Raises Error unless `packed` are the bytes of `packed_names`."""
        for name, tensor, nbytes in zip(self.packed_names, packed, self.packed_bytes):
            isGood = tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.nbytes == nbytes
            if not isGood or tensor.data_ptr() % (64 if tensor.dtype == torch.uint8 else tensor.element_size()):
                fail(f"{name}: {tensor.dtype} {list(tensor.shape)} on {tensor.device}; expected {nbytes} contiguous "
                     "bytes on the CPU at a multiple of 64, as packing makes them")
        if len(packed) != len(self.packed_names):
            fail(f"{len(packed)} packed weights; expected {', '.join(self.packed_names)}")


class Prepared:
    """A layer with its packed weights in place, which calls give addresses alone: PyTorch's
    tensors are checked by who calls, for what it takes. Any number of threads may.

    layer: of one size, T. places: of the arguments that a call gives, in order.
    packed: addresses of all others, by their places.
    """

    def __init__(self, layer: Layer, places: Sequence[int], packed: Dict[int, int]) -> None:
        self._layer = layer
        self._invoke = layer._invoke
        self._places = (*places, len(layer.arguments))
        self._packed = packed
        self._calls: List[Tuple[Any, Runtime]] = []
        self._threads = 0
        self._plans: Dict[int, Tuple[Any, int]] = {}

    def _call(self) -> Tuple[Any, Runtime]:
        buffers = (c_void_p * (len(self._layer.arguments) + 1))()
        for place, address in self._packed.items():
            buffers[place] = address
        return buffers, Runtime(self._layer._library, self._threads)

    def _plan(self, tokens: int) -> Tuple[Any, int]:
        """The sizes of a call, and the bytes of its workspace."""
        sizes = (c_int64 * 1)(tokens)
        if len(self._plans) >= _MAX_PLANS:
            self._plans = {}
        found = self._plans[tokens] = (sizes, int(self._layer._workspace(sizes)))
        return found

    def __call__(self, tokens: int, *addresses: int) -> None:
        """Runs the layer on T `tokens`; addresses of the arguments of `places`, then of the result."""
        plan = self._plans.get(tokens) or self._plan(tokens)
        threads = torch.get_num_threads()
        if threads != self._threads:
            self._threads, self._calls = threads, []
        calls = self._calls
        try:
            call = calls.pop()
        except IndexError:
            call = self._call()
        try:
            workspace = workspaces.pop()
        except IndexError:
            workspace = Workspace()
        try:
            buffers = call[0]
            for place, address in zip(self._places, addresses):
                buffers[place] = address
            if workspace.room < plan[1]:
                workspace.grow(plan[1])
            status = self._invoke(call[1].reference, plan[0], buffers, workspace.pointer, workspace.size)
            if status:
                raise call[1].error(self._layer.name, status)
        finally:
            calls.append(call)
            workspaces.append(workspace)


class Bound:
    """Experts and their packed weights, which any number of threads may call at once.

    packed: the tensors of `Experts.packed_names`, uint8 for those that are packed; they
        have to stay as they are, at multiples of 64 bytes.
    """

    def __init__(self, experts: Experts, packed: Sequence[torch.Tensor]) -> None:
        experts.check(packed)
        self.experts = experts
        self.packed = list(packed)
        addresses = [tensor.data_ptr() for tensor in packed]
        self._run = Prepared(experts.layer, experts.places, dict(zip(experts.packed_places, addresses)))

    def __call__(self, x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """x [T, H] of the experts' type; indices [T, K] int32 or int64; weights [T, K] of any
        float type. Gives y [T, H']. Raises Error for other shapes and types."""
        experts = self.experts
        if indices.dtype is not torch.int32:
            indices = indices.to(torch.int32)
        if weights.dtype is not torch.float32:
            weights = weights.to(torch.float32)
        tokens = x.shape[0]
        if x.dtype is not experts.dtype or x.shape != (tokens, experts.hidden) or x.device.type != "cpu" \
                or indices.shape != (tokens, experts.slots) or weights.shape != indices.shape:
            fail(f"experts: x is {x.dtype} {list(x.shape)} on {x.device}, indices {list(indices.shape)}, weights "
                 f"{list(weights.shape)}; expected {experts.dtype} [T, {experts.hidden}] on cpu, and "
                 f"[T, {experts.slots}] twice")
        if not x.is_contiguous():
            x = x.contiguous()
        if not indices.is_contiguous():
            indices = indices.contiguous()
        if not weights.is_contiguous():
            weights = weights.contiguous()
        y = torch.empty((tokens, experts.output), dtype=experts.dtype)
        self._run(tokens, x.data_ptr(), indices.data_ptr(), weights.data_ptr(), y.data_ptr())
        return y


# -- Artifacts by key ---------------------------------------------------------

_lock = threading.Lock()
_known: Dict[str, Experts] = {}
_folders: List[Path] = []


def add_search_path(folder: Union[str, "os.PathLike[str]"]) -> None:
    """Adds a folder of artifacts, BASE.so beside BASE.json, in it or in folders of it."""
    path = path_of(folder, "folder", "the path of a folder with artifacts")
    if not path.is_dir():
        fail(f"{folder}: no such folder; expected one with artifacts, BASE.so beside BASE.json")
    if path not in _folders:
        _folders.append(path)


def publish(experts: Experts) -> Experts:
    """Makes experts known by their key; gives those that are known already."""
    with _lock:
        return _known.setdefault(experts.key, experts)


def _search_path() -> List[Path]:
    named = [Path(part) for part in os.environ.get("MOE_MLIR_ARTIFACTS", "").split(os.pathsep) if part]
    return [*_folders, *named, _cache.root() / "artifacts"]


def _matches(manifest: Path, key: str) -> bool:
    try:
        return f'"{key}"' in manifest.read_text(encoding="utf-8") and manifest.with_suffix(".so").is_file()
    except (OSError, UnicodeDecodeError):
        return False


def find(key: str) -> Experts:
    """The experts whose manifest has the id `key`; raises Error with where it was looked."""
    found = _known.get(key)
    if found is not None:
        return found
    for folder in _search_path():
        # By its name first, as save_artifacts() writes it; then whatever is there.
        for manifest in (folder / f"{key}.json", *sorted(folder.glob("**/*.json"))):
            if _matches(manifest, key):
                layer = load(manifest)
                if layer._library.manifest.id == key:
                    return publish(Experts(layer))
    fail(f"no artifact {key} in {', '.join(map(str, _search_path()))}; add its folder to MOE_MLIR_ARTIFACTS, "
         "or compile the model here")


def save_artifacts(program: Any, folder: Union[str, "os.PathLike[str]"]) -> List[Path]:
    """Copies the artifacts that an exported program names into `folder`, as KEY.so and
    KEY.json; gives the libraries' paths.

    program: of torch.export.export(), a torch.fx.GraphModule, or keys.
    """
    target = path_of(folder, "folder", "the path of the folder to write to")
    target.mkdir(parents=True, exist_ok=True)
    graph = getattr(program, "graph", None)
    keys: Iterable[str] = program
    if graph is not None:
        keys = {node.args[4] for node in graph.nodes if node.target == torch.ops.moe_mlir.experts.default}
    written = []
    for key in sorted(keys):
        source = find(key).layer.path
        for suffix in (".so", ".json"):
            partial = target / f"{key}{suffix}.{os.getpid()}.moe-partial"
            shutil.copyfile(source.with_suffix(suffix), partial)
            os.replace(partial, target / f"{key}{suffix}")
        written.append(target / f"{key}.so")
    return written


# -- The operation ------------------------------------------------------------

_bound: Dict[Tuple[Any, ...], Bound] = {}
_MAX_BOUND = 256


@torch.library.custom_op("moe_mlir::experts", mutates_args=())
def experts(x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: List[torch.Tensor],
            artifact: str) -> torch.Tensor:
    """y [T, H] of x [T, H] f32, bf16 or f16, a routing of indices [T, K] int32 or int64 and
    weights [T, K], and `packed` weights, by the artifact of that key."""
    key = (artifact, *(tensor.data_ptr() for tensor in packed))
    found = _bound.get(key)
    if found is None:
        if len(_bound) >= _MAX_BOUND:
            _bound.clear()
        found = _bound[key] = Bound(find(artifact), packed)
        # The caller has them for as long as a call takes; not to be kept behind its back.
        found.packed = []
    else:
        found.experts.check(packed)
    return found(x, indices, weights)


@experts.register_fake
def _(x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: List[torch.Tensor],
      artifact: str) -> torch.Tensor:
    torch._check(x.dim() == 2 and indices.dim() == 2 and weights.dim() == 2,
                 lambda: "moe_mlir::experts: x, indices and weights have to have two dimensions")
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _backward(context: Any, gradient: torch.Tensor) -> Any:
    raise Error(NO_BACKWARD)


experts.register_autograd(_backward)


class NoBackward(torch.autograd.Function):
    """Runs `bound` in eager mode such that only a backward pass fails."""

    @staticmethod
    def forward(ctx: Any, bound: Bound, x: torch.Tensor, indices: torch.Tensor,
                weights: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        return bound(x, indices, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise Error(NO_BACKWARD)
