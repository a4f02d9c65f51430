# ===- _record.py - Routings of a model that runs --------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""record(): which experts tokens went to, for the tools of the project.

Needs PyTorch and a model of transformers; whichever implementation its experts have.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Tuple, Type, Union

from . import _profile, _safetensors, _tools
from ._errors import fail, path_of

__all__ = ["Recorded", "Recording", "record"]

PathLike = Union[str, "os.PathLike[str]"]


class Recorded:
    """The routing of a module of experts, of all its calls, one behind the other.

    name: its path in the model. function: what the tools call it, layer_N.
    indices: int32 [T, K], -1 where a slot is unused. weights: float32 [T, K]. counts:
        int64 [E], the tokens of each expert.
    """

    def __init__(self, name: str, function: str, experts: int) -> None:
        self.name = name
        self.function = function
        self.experts = experts
        self._parts: List[Tuple[Any, Any]] = []
        #: Of each weight and expert: rows, and sums of squares and of what is not 0, of what it
        #: is multiplied with.
        self._sums: Dict[str, Tuple[Any, Any, Any]] = {}

    @property
    def indices(self) -> Any:
        import torch

        return torch.cat([part[0] for part in self._parts])

    @property
    def weights(self) -> Any:
        import torch

        return torch.cat([part[1] for part in self._parts])

    @property
    def counts(self) -> Any:
        import torch

        indices = self.indices.flatten().long()
        return torch.bincount(indices[indices >= 0], minlength=self.experts)


class Recording:
    """What record() collects; a context manager. `layers` has a Recorded for each module
    that ran, by its path; `left` says of others why they are not in it."""

    def __init__(self, model: Any, activations: bool) -> None:
        self.layers: Dict[str, Recorded] = {}
        self.left: Dict[str, str] = {}
        self._model = model
        self._activations = activations
        self._lock = threading.Lock()
        self._handles: List[Any] = []
        self._blocks: List[Tuple[Any, Any]] = []

    # -- Collecting ----------------------------------------------------------------

    def __enter__(self) -> "Recording":
        from .transformers._blocks import set_aside
        from .transformers._experts import is_experts, parameters_of

        used = set()
        for name, module in self._model.named_modules():
            if not is_experts(module):
                continue
            parameters = parameters_of(module)
            if self._activations and any(p.is_meta for p in parameters.values()):
                fail(f"{name}: its parameters are on the meta device, so that nothing says what they are multiplied "
                     "with; record(activations=False), or prepare(free=False)")
            match = re.search(r"(?:^|\.)(?:layers|blocks|h)\.(\d+)(?:\.|$)", name)
            function = f"layer_{match.group(1)}" if match else re.sub(r"\W", "_", name)
            if function in used:
                function = re.sub(r"\W", "_", name)
            used.add(function)
            recorded = Recorded(name, function, int(parameters["down_proj"].shape[0]))
            self.layers[name] = recorded
            self._handles.append(module.register_forward_pre_hook(self._hook(recorded), with_kwargs=True))
        # Compiled blocks call neither router nor experts: the model's own code does meanwhile.
        self._blocks, left = set_aside(self._model)
        self.left.update(left)
        if not self.layers:
            self.__exit__(None, None, None)
            fail("the model has no modules of experts that transformers dispatches")
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        for handle in self._handles:
            handle.remove()
        for module, block in self._blocks:
            module.__dict__["_moe_mlir_block"] = block
        self._handles, self._blocks = [], []
        for name in [name for name, layer in self.layers.items() if not layer._parts]:
            del self.layers[name]
            self.left[name] = "it did not run"

    def _hook(self, recorded: Recorded) -> Any:
        import torch

        def hook(module: Any, args: Tuple[Any, ...], options: Dict[str, Any]) -> None:
            names = (("hidden_states",), ("top_k_index", "router_indices"), ("top_k_weights", "routing_weights"))
            given = [args[i] if i < len(args) else next(options[n] for n in names[i] if n in options)
                     for i in range(3)]
            if torch.compiler.is_compiling():
                fail("a compiled or exported model cannot be recorded; record the model itself")
            with torch.no_grad():
                x, indices, weights = (value.detach() for value in given)
                indices = indices.to(device="cpu", dtype=torch.int32, copy=True)
                weights = weights.to(device="cpu", dtype=torch.float32, copy=True)
                unused = (indices < 0) | (indices >= recorded.experts)
                indices[unused] = -1
                weights[unused] = 0
                with self._lock:
                    recorded._parts.append((indices, weights))
                    if self._activations:
                        _add_squares(recorded, module, x, indices)

        return hook

    # -- Files -------------------------------------------------------------------------

    def save(self, path: PathLike) -> Path:
        """Writes a .safetensors file with LAYER/routing.indices and LAYER/routing.weights.

        Artifacts that were compiled with --replay-routing take them: `moe-run --inputs`."""
        tensors = []
        for layer in self.layers.values():
            for name, dtype in (("indices", "I32"), ("weights", "F32")):
                tensor = getattr(layer, name).contiguous()
                tensors.append((f"{layer.function}/routing.{name}", dtype, tuple(tensor.shape),
                                memoryview(tensor.numpy()).cast("B")))
        target = path_of(path, "path", "that of a .safetensors file")
        partial = target.with_name(f"{target.name}.{os.getpid()}.moe-partial")
        try:
            _safetensors.write(partial, tensors, {"format": "moe-routings"})
            os.replace(partial, target)
        except OSError as error:
            fail(f"{target}: cannot write: {error.strerror}")
        return target

    def report(self, path: PathLike) -> Path:
        """Writes the page of docs/routing-health.md, with a row for each module; by moe-run."""
        from ._compile import compile

        target = path_of(path, "path", "that of a .html file")
        title = json.dumps(type(self._model).__name__)
        ir = "".join(_replay(layer, title) for layer in self.layers.values())
        # Run without its model: what gives the routing again is not the policy that chose.
        with tempfile.TemporaryDirectory(prefix="moe-mlir-") as name:
            file = Path(name) / "routings.safetensors"
            _safetensors.write(file, [tensor for layer in self.layers.values() for tensor in _given(layer)], {})
            artifact = compile(ir, cache=False, progress=False)
            _tools.run("moe-run", [artifact.path, f"--inputs={file}", "--random=1", f"--routing-report={target}"])
        return target

    def profile(self, path: PathLike) -> Path:
        """Writes a profile (docs/profile.md) of the routings; with record(activations=True)
        also of what weights are multiplied with. Names are those of moe-import."""
        functions = []
        for layer in self.layers.values():
            weights = []
            for name, (rows, squares, nonzero) in layer._sums.items():
                experts = [{"rows": n, "mean_squares": [float(f"{v:.7g}") for v in (s / n).tolist()] if n else [],
                            "nonzero": z}
                           for n, s, z in zip(rows.tolist(), squares, nonzero.tolist())]
                weights.append({"name": name, "columns": int(squares.shape[1]), "experts": experts})
            routing = _profile.routing(layer.indices.numpy(), layer.weights.numpy(), layer.experts, layer.name)
            functions.append({"name": layer.function, "weights": weights, "routings": [routing]})
        target = path_of(path, "path", "that of a .json file")
        try:
            target.write_text(json.dumps({"schema": _profile.SCHEMA, "version": _profile.VERSION,
                                          "functions": functions}))
        except OSError as error:
            fail(f"{target}: cannot write: {error.strerror}")
        return target


def _add_squares(recorded: Recorded, module: Any, x: Any, indices: Any) -> None:
    """Adds what the matrices of `module` are multiplied with in this call."""
    import torch
    import torch.nn.functional as F

    def add(name: str, expert: int, rows: Any) -> None:
        if name not in recorded._sums:
            recorded._sums[name] = (torch.zeros(recorded.experts, dtype=torch.int64),
                                    torch.zeros(recorded.experts, rows.shape[1], dtype=torch.float64),
                                    torch.zeros(recorded.experts, dtype=torch.int64))
        count, squares, nonzero = recorded._sums[name]
        count[expert] += rows.shape[0]
        nonzero[expert] += torch.count_nonzero(rows).cpu()
        squares[expert] += rows.double().pow(2).sum(dim=0).cpu()

    up_name = "gate_up_proj" if module.has_gate else "up_proj"
    up, bias = getattr(module, up_name), getattr(module, up_name + "_bias", None) if module.has_bias else None
    for expert in indices[indices >= 0].unique().tolist():
        rows = x[(indices == expert).any(dim=1).to(x.device)]
        for name in ("gate_proj", "up_proj") if module.has_gate else ("up_proj",):
            add("experts." + name, expert, rows)
        matrix = up[expert].t() if module.is_transposed else up[expert]
        hidden = F.linear(rows.to(matrix.dtype), matrix, bias[expert] if bias is not None else None)
        add("experts.down_proj", expert, module._apply_gate(hidden) if module.has_gate else module.act_fn(hidden))


def _is_full(layer: Recorded) -> bool:
    """Whether each token has as many different experts as there are slots."""
    indices = layer.indices.sort(dim=1).values
    return bool((indices >= 0).all()) and not bool((indices[:, 1:] == indices[:, :-1]).any())


def _given(layer: Recorded) -> List[Tuple[str, str, Tuple[int, ...], memoryview]]:
    """The inputs of _replay(): ids and a table, or a score above 0 for the experts of each token."""
    import torch

    indices = layer.indices
    tokens = indices.shape[0]
    if _is_full(layer):
        tensors = {"ids": torch.arange(tokens, dtype=torch.int32), "table": indices.contiguous()}
    else:
        scores = torch.full((tokens, layer.experts + 1), -1.0)
        scores.scatter_(1, torch.where(indices < 0, layer.experts, indices).long(), 1.0)
        tensors = {"scores": scores[:, :layer.experts].contiguous(), "thresholds": torch.zeros(layer.experts)}
    tensors["x"] = torch.zeros(tokens, 1)
    types = {torch.int32: "I32", torch.float32: "F32"}
    return [(f"{layer.function}/{name}", types[tensor.dtype], tuple(tensor.shape), memoryview(tensor.numpy()).cast("B"))
            for name, tensor in tensors.items()]


def _replay(layer: Recorded, title: str) -> str:
    """A function whose router chooses what was recorded, and experts as small as they can be."""
    count, slots = layer.experts, layer.indices.shape[1]
    if _is_full(layer):
        table = f"tensor<{layer.indices.shape[0]}x{slots}xi32>"
        given = f'%a: tensor<?xi32> {{moe.name = "ids", moe.dims = ["T"]}}, %b: {table} {{moe.name = "table"}}'
        router = f"#moe.hash<table, {slots}> using(%a, %b : tensor<?xi32>, {table}) :"
    else:
        slots = count
        scores = f"tensor<?x{count}xf32>"
        given = f'%a: {scores} {{moe.name = "scores", moe.dims = ["T"]}}, %b: tensor<{count}xf32> ' \
            '{moe.name = "thresholds"}'
        router = f"#moe.top_any<min_k = 0> select(%a) using(%b : tensor<{count}xf32>) : {scores} ->"
    rows, routing = "tensor<?x1xf32>", f"!moe.routing<{count} x {slots}>"
    matrix = f"tensor<{count}x1x1xf32>"
    return f"""
func.func @{layer.function}(%x: {rows} {{moe.name = "x", moe.dims = ["T"]}}, %m: {matrix} {{moe.name = "m"}}, {given})
    -> ({rows} {{moe.name = "y", moe.dims = ["T"]}}) attributes {{moe.model = {title}}} {{
  %r = moe.router {router} {routing}
  %rows = moe.dispatch %x by %r : {rows}, {routing} -> {rows}
  %out = moe.expert %rows by %r : ({rows}, {routing}) -> {rows}
  experts 0 to {count} weights(%m, %m : {matrix}, {matrix}) {{
  ^bb0(%t: {rows}, %u: tensor<1x1xf32>, %d: tensor<1x1xf32>):
    %f = moe.ffn %t up(%u) down(%d) activation(#moe.relu) : ({rows}, tensor<1x1xf32>, tensor<1x1xf32>) -> {rows}
    moe.yield %f : {rows}
  }}
  %y = moe.combine %out by %r : {rows}, {routing} -> {rows}
  return %y : {rows}
}}
"""


def record(model: Any, *, activations: bool = False) -> Recording:
    """Collects the routing of everything that runs within it.

        with moe_mlir.record(model) as seen:
            model.generate(ids)
        seen.report("routing.html")

    model: of transformers, with any implementation of its experts.
    activations: collect what each matrix is multiplied with, too, for profile(); the
        first products of all experts are computed once more for it.

    A model that torch.compile or torch.export made cannot be recorded.
    """
    if not callable(getattr(model, "named_modules", None)):
        fail(f"model: is a {type(model).__name__}; expected a model of transformers, a torch.nn.Module")
    return Recording(model, activations)
