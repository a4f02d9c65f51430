# ===- _prepare.py - Compiling and packing a model ahead of time -----------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""prepare(): every module of experts of a model, compiled, packed and verified."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Set, Union

import torch

from .._compile import ACTIVATIONS
from .._errors import Error, fail, path_of
from .._progress import Progress
from .._weights import Weights
from . import _blocks
from ._experts import _ATTRIBUTE, State, Unsupported, compiled, describe, is_experts, own_forward, parameters_of
from ._ir import BLOCKS
from ._report import Entry, Report, tolerance_of

__all__ = ["prepare", "refresh", "slots_of"]



def slots_of(module: torch.nn.Module, parent: Optional[torch.nn.Module]) -> Optional[int]:
    """K, which modules of experts do not know: their configuration or the router beside them does."""
    for router in parent.children() if parent is not None else ():
        if router is not module:
            for name in ("top_k", "num_experts_per_tok", "topk"):
                value = getattr(router, name, None)
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
    config = getattr(module, "config", None)
    for name in ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "moe_top_k", "top_k_experts"):
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def deviation_of(module: torch.nn.Module, state: State, slots: int, rows: torch.dtype) -> float:
    """The largest difference to the module's own code on random tokens, in parts of the largest result."""
    call = state.call_for(module, slots, rows)
    assert call is not None
    generator = torch.Generator().manual_seed(22)
    count = parameters_of(module)["down_proj"].shape[0]
    x = torch.randn(8, call.experts.hidden, generator=generator).to(rows)
    indices = torch.rand(8, count, generator=generator).topk(slots).indices
    weights = torch.rand(8, slots, generator=generator).softmax(dim=1).to(rows)
    with torch.no_grad():
        expected = own_forward(module, State(module), x, indices, weights).double()
        found = call(x, indices, weights).double()
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def _free(module: torch.nn.Module, state: State) -> None:
    """Gives the memory of the module's matrices back."""
    for name in ("gate_up_proj", "up_proj", "down_proj"):
        parameter = module._parameters.get(name)
        if parameter is not None:
            module._parameters[name] = torch.nn.Parameter(torch.empty_like(parameter, device="meta"),
                                                          requires_grad=False)
    state.is_freed = True
    state.watch(module)


def _packed_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


class _Preparation:
    """The options of prepare(), for each module in turn."""

    def __init__(self, verify: bool, free: bool, weights_type: Optional[str], activations: Optional[str],
                 targets: Any, packed: Optional[Path]) -> None:
        self.verify = verify
        self.free = free
        self.weights_type = weights_type
        self.activations = activations
        self.targets = targets
        self.packed = packed

    def experts(self, name: str, module: torch.nn.Module, parent: Optional[torch.nn.Module]) -> Entry:
        entry = Entry(name, "experts")
        old = module.__dict__.get(_ATTRIBUTE)
        implementation = getattr(module.config, "_experts_implementation", None)
        previous = old.previous if old is not None else implementation
        if old is not None and old.is_freed and old.stored == self.weights_type and old.calls:
            # Prepared before; there is nothing left to do it from.
            call = next(iter(old.calls.values()))
            entry.artifact, entry.nbytes = call.experts.key, old.nbytes
            return entry
        if old is not None and old.is_freed and not (self.packed and _packed_file(self.packed, name).exists()):
            fail(f"{name}: its own matrices were freed when it was prepared with weights_type={old.stored!r}; load the "
                 f"model again for weights_type={self.weights_type!r}, or give packed= a folder with such weights")
        state = State(module, self.weights_type, self.activations, previous or "eager", self.targets)
        slots = slots_of(module, parent)
        try:
            rows = next(p.dtype for p in parameters_of(module).values())
            if slots is None:
                describe(module, 1, rows, self.weights_type)
                entry.reason = "compiled at its first call: nothing says how many experts a token has"
                module.__dict__[_ATTRIBUTE] = state
                return entry
            self._pack(name, module, state, slots, rows)
            if self.verify and not self._is_meta(module):
                entry.deviation = deviation_of(module, state, slots, rows)
                limit = tolerance_of(rows, self.weights_type)
                if not entry.deviation <= limit:
                    raise Unsupported(f"its deviation is {entry.deviation:.1e}, expected at most {limit:.0e}")
        except Unsupported as error:
            state.calls.clear()
            state.reason = entry.reason = str(error)
            module.__dict__[_ATTRIBUTE] = state
            return entry
        except Error as error:
            raise Error(f"{name}: {error}") from None
        entry.artifact = next(iter(state.calls.values())).experts.key
        entry.nbytes = state.nbytes
        if self.free:
            _free(module, state)
        module.__dict__[_ATTRIBUTE] = state
        return entry

    @staticmethod
    def _is_meta(module: torch.nn.Module) -> bool:
        return any(p.device.type == "meta" for p in parameters_of(module).values())

    def _pack(self, name: str, module: torch.nn.Module, state: State, slots: int, rows: torch.dtype) -> None:
        """Packs, by way of a file if there is a folder for them."""
        spec, norm = describe(module, slots, rows, self.weights_type)
        experts = compiled(spec, state.activations, state.targets)
        if self.packed is not None:
            file = _packed_file(self.packed, name)
            if not file.exists():
                state.pack(module, spec, norm, experts)
                weights, _ = state.weights.popitem()[1]
                weights.save(file)
                del weights
            state.adopt(Weights.open(file), experts)
        if state.call_for(module, slots, rows) is None:
            raise Unsupported(state.reason or "it has no implementation")


def prepare(model: torch.nn.Module, *, replace: str = "experts", verify: bool = False, free: bool = False,
            strict: bool = False, weights_type: Optional[str] = None, activations: Optional[str] = None,
            targets: Union[str, Sequence[str], None] = "native", packed: Union[str, "os.PathLike[str]", None] = None,
            progress: bool = True) -> Report:
    """Compiles the experts of a model, packs their weights, and makes the model use them.

    model: of transformers. What it computes stays the same, but for rounding.
    replace: "experts" keeps routers, shared experts and what hooks see of them. "block"
        compiles each block with its router, for less time a token; modules of its
        router are not called then, and what they return (`output_router_logits`,
        hooks) is not there. Blocks of models whose experts transformers does not
        dispatch are replaced in both cases.
    verify: run random tokens of each module beside its own code; a module that
        deviates stays as it was. The Report has the numbers.
    free: give the memory of the experts' own matrices back; they are on the meta
        device then. `save_pretrained` and `state_dict` have no values for them any
        more, and there is no way back to another implementation: load it again.
    strict: raise Error if a module stays as it was, instead of listing it.
    weights_type: a format that the experts' weights are converted to by moe-quantize,
        such as "q8_0" or "q4_0"; with replace="block" those of the shared expert, too.
        None keeps them as they are.
    activations: how rows are rounded that meet such weights: "f32", "int8", "int16",
        "auto" (the default with `weights_type`, errors no larger than those of the weights).
    targets: what code is made for, as compile() takes it: "native" is this machine, None
        the usual chips, for exported programs that run elsewhere.
    packed: a folder of packed weights, a file for each module: mapped if it is
        there, else written and mapped. The folder has to be of this model and these
        options. With it, experts may be on the meta device from the beginning.
    progress: say on a terminal what goes on.

    Gives a Report of every module, with the reason for each that is left as it was.
    """
    from . import register

    if not isinstance(model, torch.nn.Module):
        fail(f"model: is a {type(model).__name__}; expected a model of transformers, a torch.nn.Module")
    if replace not in ("experts", "block"):
        fail(f"replace={replace!r}: expected 'experts' or 'block'")
    if weights_type is not None and weights_type not in BLOCKS:
        fail(f"weights_type={weights_type!r}: expected one of {', '.join(BLOCKS)}, or None")
    if activations is not None and activations not in ACTIVATIONS:
        fail(f"activations={activations!r}: expected one of {', '.join(ACTIVATIONS)}, or None")
    register()
    folder = path_of(packed, "packed", "the path of a folder") if packed is not None else None
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            fail(f"{folder}: cannot make this folder of packed weights: {error.strerror}")
    work = _Preparation(verify, free, weights_type, activations, targets, folder)
    parents: Dict[torch.nn.Module, torch.nn.Module] = {c: m for m in model.modules() for c in m.children()}
    report = Report()
    modules = [(name, module) for name, module in model.named_modules() if is_experts(module)]
    blocks = _blocks.candidates(model, everything=replace == "block")
    replacing = _blocks.Replacing(model, blocks, weights_type=weights_type, activations=activations, free=free,
                                  targets=targets, packed=folder)
    replaced: Set[torch.nn.Module] = set()
    with Progress("preparing", enabled=progress) as shown:
        for name, block in blocks:
            shown.update()
            entry = replacing.replace(name, block)
            report.entries.append(entry)
            if entry.artifact is not None:
                replaced.update(block.modules())
        for name, module in modules:
            if module in replaced:
                continue
            shown.update()
            report.entries.append(work.experts(name, module, parents.get(module)))
    if any(module not in replaced for _, module in modules):
        _choose(model, [module for _, module in modules])
    if strict:
        for entry in report.left:
            # Of a block that stays, the experts may be compiled.
            if not any(other.name.startswith(entry.name + ".") for other in report.compiled):
                raise Error(f"{entry.name}: {entry.reason}")
    return report


def _choose(model: Any, modules: Any) -> None:
    """Makes the configurations of `modules` name this implementation."""
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("moe_mlir")
    for module in modules:
        if getattr(module.config, "_experts_implementation", None) != "moe_mlir":
            module.config._experts_implementation = "moe_mlir"


def refresh(model: torch.nn.Module) -> None:
    """Packs weights again at the next call, after changes that PyTorch does not count
    (`parameter.data.copy_(...)`)."""
    for module in model.modules():
        state = module.__dict__.get(_ATTRIBUTE)
        if state is not None and not state.is_freed:
            module.__dict__[_ATTRIBUTE] = state.again(module)
