# ===- _experts.py - Modules of experts -----------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What runs in place of a module's experts, and the packed weights of each module.

A module that `use_experts_implementation` made has a State as soon as it ran, or
prepare() saw it. It is made of the module's parameters, and made again when they
are others than those it was made of.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from typing import Any, Dict, List, Optional, Tuple

import torch

from .._errors import Error, fail
from .._layer import load
from .._weights import Weights
from ..torch import DTYPES, Bound, Experts, NoBackward, publish
from . import _quantize
from ._activation import Unrecognized, recognize
from ._ir import BLOCKS, Spec, experts_ir
from ._norm import Norm, recognize_norm

__all__ = ["State", "Unsupported", "experts_forward", "is_experts", "state_of"]

_ATTRIBUTE = "_moe_mlir"
_lock = threading.RLock()
_compiled: Dict[Tuple[Any, ...], Experts] = {}


class Unsupported(Exception):
    """Why a module stays on its own implementation."""


def is_experts(module: Any) -> bool:
    """Whether transformers dispatches `module` by `experts_implementation`."""
    return all(hasattr(module, name) for name in ("_is_expert_parallel", "is_transposed", "has_gate")) \
        and hasattr(type(module).forward, "__wrapped__")


def parameters_of(module: Any) -> Dict[str, torch.Tensor]:
    """The module's own parameters that the computation reads, by name."""
    names = ["gate_up_proj" if module.has_gate else "up_proj", "down_proj"]
    if module.has_bias:
        names += [name + "_bias" for name in names]
    found = {name: getattr(module, name, None) for name in names}
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise Unsupported(f"it has no tensor {name}")
    norm = getattr(module, "post_expert_norm", None) if module.has_post_expert_norm else None
    if norm is not None:
        found.update({"post_expert_norm." + name: p for name, p in norm.named_parameters()})
    return found  # type: ignore[return-value]


def describe(module: Any, slots: int, rows: torch.dtype,
             stored: Optional[str]) -> Tuple[Spec, Optional[Norm]]:
    """The Spec of `module`; raises Unsupported with the reason."""
    parameters = parameters_of(module)
    up = parameters["gate_up_proj" if module.has_gate else "up_proj"]
    down = parameters["down_proj"]
    if up.dim() != 3 or down.dim() != 3:
        raise Unsupported(f"its matrices have {up.dim()} and {down.dim()} dimensions (expected 3)")
    experts, *matrix = up.shape
    both, hidden = reversed(matrix) if module.is_transposed else matrix
    output, intermediate = reversed(down.shape[1:]) if module.is_transposed else down.shape[1:]
    if down.shape[0] != experts or both != intermediate * (2 if module.has_gate else 1):
        raise Unsupported(f"the shapes {list(up.shape)} and {list(down.shape)} do not belong together")
    for name, tensor in parameters.items():
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            raise Unsupported(f"{name} is a {type(tensor).__name__}")
        if tensor.dtype not in DTYPES or (not name.endswith("_bias") and "." not in name and tensor.dtype != up.dtype):
            raise Unsupported(f"{name} is {tensor.dtype}; expected float32, bfloat16 or float16, the same for all")
        if tensor.device.type not in ("cpu", "meta"):
            raise Unsupported(f"{name} is on {tensor.device}; compiled experts run on the CPU")
    if rows not in DTYPES:
        raise Unsupported(f"its tokens are {rows}; expected float32, bfloat16 or float16")
    if stored is not None:
        block = BLOCKS[stored][0]
        if hidden % block or intermediate % block:
            raise Unsupported(f"rows of {hidden} and {intermediate} weights are no whole blocks of {stored}, "
                              f"which are of {block}")
    run = module._apply_gate if module.has_gate else module.act_fn
    if isinstance(getattr(module, "act_fn", None), torch.nn.Module) and any(True for _ in module.act_fn.parameters()):
        raise Unsupported("its activation has parameters")
    try:
        activation = recognize(run, int(intermediate), module.has_gate, module.is_concatenated)
        norm = recognize_norm(module.post_expert_norm, int(output)) if module.has_post_expert_norm else None
    except Unrecognized as error:
        raise Unsupported(str(error)) from error
    dtype = DTYPES[up.dtype]
    return Spec(int(experts), int(hidden), int(intermediate), int(output), slots, activation, bool(module.has_gate),
                bool(module.is_concatenated) or stored is not None, bool(module.is_transposed) and stored is None,
                bool(module.has_bias), norm.eps if norm else None, DTYPES[rows],
                "f32" if stored else dtype, stored), norm


def compiled(spec: Spec, activations: str, targets: Any) -> Experts:
    """The experts of `spec`, compiled once a process, and taken from the cache if they are there."""
    from .. import compile

    with _lock:
        key = (spec, activations, targets if isinstance(targets, (str, type(None))) else tuple(targets))
        found = _compiled.get(key)
        if found is None:
            artifact = compile(experts_ir(spec), activations=activations, targets=targets, progress=False)
            found = _compiled[key] = publish(Experts(load(artifact.path)))
        return found


class State:
    """The compiled experts of a module, and its weights packed for them.

    reason: why there are none; the module's own implementation runs then.
    previous: the implementation that it had before, by its name.
    """

    def __init__(self, module: Any, stored: Optional[str] = None, activations: Optional[str] = None,
                 previous: str = "eager", targets: Any = "native") -> None:
        self.stored = stored
        self.activations = activations or ("auto" if stored else "f32")
        self.previous = previous
        self.targets = targets
        self.reason: Optional[str] = None
        self.is_freed = False
        self.weights: Dict[Tuple[str, ...], Tuple[Weights, List[torch.Tensor]]] = {}
        self.calls: Dict[Tuple[int, torch.dtype], Bound] = {}
        self._watched: List[Tuple[Any, str, Any, int, int]] = []
        self.watch(module)

    def again(self, module: Any) -> "State":
        """A new one, with the same options."""
        return State(module, self.stored, self.activations, self.previous, self.targets)

    @property
    def nbytes(self) -> int:
        """Bytes of packed weights."""
        return sum(weights.nbytes for weights, _ in self.weights.values())

    def __deepcopy__(self, memo: Any) -> None:
        return None  # A copy of the module packs its own parameters.

    def __reduce__(self) -> Any:
        return (type(None), ())

    # -- Parameters that change --------------------------------------------------

    def watch(self, module: Any) -> None:
        """Remembers the parameters that the weights are packed from."""
        self._watched = []
        try:
            parameters = parameters_of(module)
        except Unsupported as error:
            self.reason = str(error)
            return
        for path, tensor in parameters.items():
            owner: Any = module
            *owners, name = path.split(".")
            for part in owners:
                owner = getattr(owner, part)
            # Of modules the dictionary: attribute access goes through __getattr__.
            table = owner._parameters if name in owner._parameters else owner._buffers
            self._watched.append((table, name, weakref.ref(tensor), _version(tensor), tensor.data_ptr()))

    def is_current(self) -> bool:
        """Whether the module's parameters are those that it was made of, unchanged."""
        for table, name, reference, version, address in self._watched:
            tensor = table.get(name)
            if tensor is not reference() or tensor.data_ptr() != address or _version(tensor) != version:
                return False
        return True

    # -- Packing ---------------------------------------------------------------------

    def call_for(self, module: Any, slots: int, rows: torch.dtype) -> Optional[Bound]:
        """What runs `module` for a routing of `slots` slots; None if nothing does, see `reason`."""
        found = self.calls.get((slots, rows))
        if found is not None or self.reason is not None:
            return found
        with _lock:
            found = self.calls.get((slots, rows))
            if found is not None or self.reason is not None:
                return found
            try:
                spec, norm = describe(module, slots, rows, self.stored)
            except Unsupported as error:
                self.reason = str(error)
                return None
            experts = compiled(spec, self.activations, self.targets)
            found = self.calls[slots, rows] = Bound(experts, self.pack(module, spec, norm, experts))
            return found

    def pack(self, module: Any, spec: Spec, norm: Optional[Norm], experts: Experts) -> List[torch.Tensor]:
        """The packed weights for `experts`, which those of the same layouts share."""
        layer = experts.layer
        plans = layer._library.plans(layer._function)
        key = (*sorted(plan.id.decode() for plan in plans), *experts.packed_names)
        found = self.weights.get(key)
        if found is None:
            if self.is_freed:
                fail("the module's parameters were freed, and are packed for other calls than this one; "
                     "prepare(free=False), or run such a call before")
            tensors = {name: tensor.detach() for name, tensor in parameters_of(module).items() if "." not in name}
            for name, tensor in tensors.items():
                if tensor.device.type == "meta":
                    fail(f"{name} is on the meta device, there is nothing to pack; give prepare() a folder of packed "
                         "weights")
            if spec.stored:
                plain = _quantize.canonical(tensors, module.is_transposed, module.is_concatenated)
                tensors = _quantize.stored(plain, spec)
            if norm is not None:
                count = spec.experts
                tensors["norm.before"] = norm.before.expand(count, -1).contiguous()
                tensors["norm.after"] = norm.after.expand(count, -1).contiguous()
            weights = layer.pack({name: tensor.contiguous() for name, tensor in tensors.items()})
            found = self.weights[key] = (weights, as_tensors(weights, experts))
        return found[1]

    def adopt(self, weights: Weights, experts: Experts) -> None:
        """Takes packed weights instead of packing some; raises Error if they are of another layout."""
        layer = experts.layer
        weights._bind(layer._library, layer._function)
        key = (*sorted(plan.id.decode() for plan in layer._library.plans(layer._function)), *experts.packed_names)
        self.weights[key] = (weights, as_tensors(weights, experts))


def as_tensors(weights: Weights, experts: Experts) -> List[torch.Tensor]:
    """The weights as tensors that share their memory."""
    layer = experts.layer
    types = {"u8": torch.uint8, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    found = []
    for name in experts.packed_names:
        block = weights._find(layer._function, name)
        assert block is not None
        with warnings.catch_warnings():
            # A mapped file is not writable, which tensors cannot say. Nothing writes here.
            warnings.simplefilter("ignore", UserWarning)
            tensor = torch.from_numpy(weights._view(block))
        found.append(tensor.view(types[block.dtype]).view(block.shape))
    return found


def _version(tensor: torch.Tensor) -> int:
    try:
        return tensor._version
    except RuntimeError:  # Tensors that inference mode made have none.
        return -1


# -- Calls ------------------------------------------------------------------------------


def state_of(module: Any) -> State:
    """The State of `module`, made new if its parameters changed."""
    state: Optional[State] = module.__dict__.get(_ATTRIBUTE)
    if state is not None and state.is_current():
        return state
    with _lock:
        state = module.__dict__.get(_ATTRIBUTE)
        if state is None or not state.is_current():
            if state is None:
                state = State(module)
            else:
                state = state.again(module)
            module.__dict__[_ATTRIBUTE] = state
        return state


def own_forward(module: Any, state: Optional[State], *args: Any) -> Any:
    """The implementation that `module` would have without this package."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    previous = state.previous if state is not None else "eager"
    if previous in ALL_EXPERTS_FUNCTIONS and previous != "moe_mlir":
        return ALL_EXPERTS_FUNCTIONS[previous](module, *args)
    return type(module).forward.__wrapped__(module, *args)


def experts_forward(self: Any, hidden_states: torch.Tensor, top_k_index: Optional[torch.Tensor] = None,
                    top_k_weights: Optional[torch.Tensor] = None, *, router_indices: Optional[torch.Tensor] = None,
                    routing_weights: Optional[torch.Tensor] = None) -> torch.Tensor:
    """The experts of `self` on hidden_states [T, H], as transformers calls them.

    top_k_index: [T, K] int; `num_experts` and above are no expert. top_k_weights: [T, K].
    Some modules call the two router_indices and routing_weights.
    """
    indices: torch.Tensor = top_k_index if top_k_index is not None else router_indices  # type: ignore[assignment]
    weights: torch.Tensor = top_k_weights if top_k_weights is not None else routing_weights  # type: ignore[assignment]
    if torch.compiler.is_compiling() or type(hidden_states) is not torch.Tensor:
        return _traced(self, hidden_states, indices, weights)
    state = self.__dict__.get(_ATTRIBUTE)
    if state is None or not state.is_current():
        state = state_of(self)
    call: Optional[Bound] = state.calls.get((indices.shape[1], hidden_states.dtype))
    if call is None:
        call = state.call_for(self, indices.shape[1], hidden_states.dtype)
    if call is None or hidden_states.device.type != "cpu":
        result: torch.Tensor = own_forward(self, state, hidden_states, indices, weights)
        return result
    if torch.is_grad_enabled():
        parameters = [p for p in self.parameters() if p.requires_grad]
        if parameters or hidden_states.requires_grad or weights.requires_grad:
            y: torch.Tensor = NoBackward.apply(call, hidden_states, indices, weights, *parameters)
            return y
    return call(hidden_states, indices, weights)


def _traced(self: Any, hidden_states: torch.Tensor, indices: torch.Tensor,
            weights: torch.Tensor) -> torch.Tensor:
    """One operation of the graph that is being made."""
    state: Any = self._moe_mlir if hasattr(self, _ATTRIBUTE) else None
    if state is not None and state.reason is not None:
        result: torch.Tensor = own_forward(self, state, hidden_states, indices, weights)
        return result
    call = state.calls.get((indices.shape[1], hidden_states.dtype)) if state is not None else None
    if call is None:
        raise Error("moe_mlir: these experts are not packed yet, and cannot be while the model is traced; call "
                    "moe_mlir.transformers.prepare(model), or run the model once, before torch.compile and "
                    "torch.export")
    y: torch.Tensor = torch.ops.moe_mlir.experts(hidden_states, indices, weights, call.packed, call.experts.key)
    return y
