# ===- _blocks.py - Whole blocks in place of their experts ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Replaces a block: router, experts and shared expert become one call.

The IR is what moe-import makes of the model's configuration, and the block's
parameters are found by their shapes and names. As that is a guess, a block is used
only after it has computed what the model's own code does, on random tokens.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import torch

from .._errors import Error, fail
from .._layer import Layer, load
from .._weights import Weights
from ..torch import DTYPES, NO_BACKWARD, Prepared
from . import _quantize
from ._activation import Activation
from ._block_ir import Code
from ._experts import Unsupported, _version, is_experts
from ._ir import Spec
from ._report import Entry, tolerance_of

__all__ = ["Replacing", "candidates", "set_aside"]

_ATTRIBUTE = "_moe_mlir_block"


def candidates(model: torch.nn.Module, everything: bool) -> List[Tuple[str, torch.nn.Module]]:
    """Blocks of experts and a router: all, or those whose experts transformers does not dispatch."""
    found = []
    for name, module in model.named_modules():
        experts = module._modules.get("experts")
        routers = [key for key in module._modules if key in ("gate", "router")]
        if experts is None or not routers or (is_experts(experts) and not everything):
            continue
        if any(True for _ in experts.parameters()):
            found.append((name, module))
    return found


# -- Parameters -----------------------------------------------------------------------


def _split(tensors: Mapping[str, torch.Tensor], transposed: bool, concatenated: bool) -> Dict[str, torch.Tensor]:
    """Fused parameters as [E, I, H], [E, I, H] and [E, H, I], by the importer's names."""
    found = {}
    for name, tensor in _quantize.canonical(tensors, transposed, concatenated).items():
        if name.startswith("gate_up_proj"):
            gate, up = tensor.chunk(2, dim=1)
            suffix = name[len("gate_up_proj"):]
            found["experts.gate_proj" + suffix], found["experts.up_proj" + suffix] = gate, up
        else:
            found["experts." + name] = tensor
    return found


def _experts_tensors(experts: Any, count: int) -> Iterator[Dict[str, torch.Tensor]]:
    """What the parameters of a module of experts may be, the likeliest first."""
    own = dict(experts.named_parameters())
    if is_experts(experts):
        yield _split(own, experts.is_transposed, experts.is_concatenated)
    elif {"gate_up_proj", "down_proj"} <= own.keys():
        yield _split(own, True, True)
        yield _split(own, False, True)
    elif {"mlp.w1", "mlp.v1", "mlp.w2"} <= own.keys():
        gate, up, down = (matrix.view(count, -1, matrix.shape[1])
                          for matrix in (own["mlp." + name] for name in ("w1", "v1", "w2")))
        yield {"experts.gate_proj": gate, "experts.up_proj": up, "experts.down_proj": down.transpose(1, 2)}
    else:
        names = {"wi": "up_proj", "wo": "down_proj", "fc1": "up_proj", "fc2": "down_proj"}
        stacked: Dict[str, torch.Tensor] = {}
        for inner, ours in names.items():
            for kind, suffix in (("weight", ""), ("bias", "_bias")):
                parts = [own.get(f"expert_{e}.{inner}.{kind}") for e in range(count)]
                if all(part is not None for part in parts):
                    stacked[f"experts.{ours}{suffix}"] = torch.stack(parts)  # type: ignore[arg-type]
        yield stacked


def _others(block: torch.nn.Module, count: int, hidden: int) -> Dict[str, torch.Tensor]:
    """The parameters and buffers beside the experts, by the importer's names."""
    found: Dict[str, torch.Tensor] = {}
    for name, tensor in [*block.named_parameters(), *block.named_buffers()]:
        if name.startswith("experts."):
            continue
        last = name.split(".")[-2:]
        if tensor.shape == (count, hidden) and name.split(".")[0] in ("gate", "router"):
            found["router.weight"] = tensor
        elif tensor.numel() == count and ("correction" in name or "expert_bias" in name):
            found["router.correction_bias"] = tensor.reshape(count)
        elif tensor.shape == (count,) and last[-1] == "bias":
            found["router.bias"] = tensor
        elif tensor.shape == (1, hidden):
            found["shared.gate"] = tensor
        elif tensor.dim() == 2 and last[0] in ("gate_proj", "up_proj", "down_proj"):
            found["shared." + last[0]] = tensor
        elif tensor.dim() == 2 and last[0] == "input_linear":
            found["shared.gate_proj"], found["shared.up_proj"] = tensor.chunk(2, dim=0)
        elif tensor.dim() == 2 and last[0] == "output_linear":
            found["shared.down_proj"] = tensor
    return found


# -- Calls ----------------------------------------------------------------------------


class _Block:
    """The compiled block of a module; `stored` is the format of its weights, if any."""

    def __init__(self, module: torch.nn.Module, layer: Layer, key: str, rows: torch.dtype,
                 stored: Optional[str]) -> None:
        self.layer = layer
        self.key = key
        self.rows = rows
        self.stored = stored
        self.hidden = int(layer.arguments[layer._x].shape[1])
        self.is_tuple = self.is_flat = self.by_sequence = self.is_freed = False
        self.watch(module)

    def __deepcopy__(self, memo: Any) -> None:
        return None  # A copy of the model runs its own code.

    def watch(self, module: torch.nn.Module) -> None:
        self._watched = [(tensor, _version(tensor), tensor.data_ptr())
                         for tensor in [*module.parameters(), *module.buffers()]]

    def is_current(self) -> bool:
        """Whether the tensors that it was made of are unchanged."""
        for tensor, version, address in self._watched:
            if tensor.data_ptr() != address or _version(tensor) != version:
                return False
        return True

    def bind(self, weights: Weights) -> None:
        """Takes the packed weights that calls read."""
        layer = self.layer
        layer.weights = weights
        addresses = layer._binding.addresses
        missing = [arg.name for i, arg in enumerate(layer.arguments) if i != layer._x and arg.name not in addresses]
        if missing:
            raise Unsupported(f"its packed weights have no {missing[0]!r}")
        self._run = Prepared(layer, [layer._x], {layer._index[name]: at for name, at in addresses.items()})

    def run(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """y for hidden_states [..., H] of `rows`."""
        x = hidden_states if hidden_states.is_contiguous() else hidden_states.contiguous()
        shape = x.shape
        if shape[-1] != self.hidden:
            fail(f"hidden_states have {shape[-1]} columns, expected {self.hidden}")
        y = torch.empty(shape, dtype=self.rows)
        if self.by_sequence and x.dim() == 3:
            for sequence, result in zip(x, y):
                self._run(shape[1], sequence.data_ptr(), result.data_ptr())
        else:
            self._run(x.numel() // self.hidden, x.data_ptr(), y.data_ptr())
        return y.view(-1, self.hidden) if self.is_flat else y


def _forward(self: torch.nn.Module, hidden_states: torch.Tensor, *args: Any, **options: Any) -> Any:
    """The block of `self` on hidden_states [..., H]."""
    block: Optional[_Block] = self.__dict__.get(_ATTRIBUTE)
    if block is None or self.training or torch.compiler.is_compiling() or type(hidden_states) is not torch.Tensor \
            or hidden_states.dtype is not block.rows or hidden_states.device.type != "cpu" or not block.is_current() \
            or ((args or options) and any(value is not None for value in (*args, *options.values()))):
        if block is not None and block.is_freed:
            fail("this block's own parameters were freed, and its compiled code is for evaluation, "
                 f"{block.rows} tokens on the CPU, unchanged parameters and no other arguments")
        return type(self).forward(self, hidden_states, *args, **options)
    if hidden_states.requires_grad and torch.is_grad_enabled():
        raise Error(NO_BACKWARD)
    y = block.run(hidden_states)
    return (y, None) if block.is_tuple else y


# -- Replacing --------------------------------------------------------------------------


def _deviation(block: _Block, module: torch.nn.Module) -> Optional[float]:
    """The largest difference to the module's own code; None if the results have other shapes."""
    hidden = block.hidden
    generator = torch.Generator().manual_seed(23)
    x = torch.randn(2, 37, hidden, generator=generator).to(block.rows)
    with torch.no_grad():
        result = type(module).forward(module, x.clone())
        block.is_tuple = isinstance(result, tuple)
        expected = result[0] if block.is_tuple else result
        block.is_flat = expected.dim() == 2
        limit = tolerance_of(block.rows, None)
        errors = []
        for by_sequence in (False, True):
            block.by_sequence = by_sequence
            found = block.run(x)
            if found.shape != expected.shape:
                return None
            # A token whose routing is nearly a tie may go elsewhere in 16 bits: not all count.
            difference = (found - expected).double().reshape(-1, hidden).abs().amax(dim=1)
            scale = expected.double().abs().max().clamp_min(1e-30)
            error = difference.max() if block.rows is torch.float32 else difference.quantile(0.9)
            errors.append(float(error / scale))
            if errors[-1] <= limit:
                return errors[-1]
    # Of weights in formats both deviate; those that differ much are told apart.
    block.by_sequence = errors[1] < errors[0] / 2
    return min(errors)


def _stored(tensors: Dict[str, torch.Tensor], weights_type: str) -> Dict[str, torch.Tensor]:
    """`tensors` with the matrices of experts and of the shared expert in blocks of a format."""
    found = dict(tensors)
    for prefix in ("experts.", "shared."):
        up, down = (tensors.get(prefix + name) for name in ("up_proj", "down_proj"))
        if up is None or down is None:
            continue
        gate = tensors.get(prefix + "gate_proj")
        both = [matrix.detach().reshape(-1, *matrix.shape[-2:]) for matrix in ([up] if gate is None else [gate, up])]
        down = down.detach().reshape(-1, *down.shape[-2:])
        spec = Spec(experts=down.shape[0], hidden=up.shape[-1], intermediate=up.shape[-2], output=down.shape[1],
                    slots=1, activation=Activation("#moe.silu"), gated=gate is not None, stored=weights_type)
        made = _quantize.stored({spec.up_name: torch.cat(both, dim=1), "down_proj": down.contiguous()}, spec)
        names = ["up_proj"] if gate is None else ["gate_proj", "up_proj"]
        parts = [*zip(names, made[spec.up_name].chunk(len(names), dim=1)), ("down_proj", made["down_proj"])]
        for name, matrix in parts:
            # A shared expert is one, without the dimension that counts experts.
            found[prefix + name] = matrix if tensors[prefix + name].dim() == 3 else matrix[0]
    return found


class Replacing:
    """The options of prepare(), for each of the blocks in turn.

    blocks: those of `model` with their names, as candidates() gives them.
    """

    def __init__(self, model: torch.nn.Module, blocks: Sequence[Tuple[str, torch.nn.Module]], *,
                 weights_type: Optional[str], activations: Optional[str], free: bool, targets: Any,
                 packed: Optional[Path]) -> None:
        self._code = Code(model, [name for name, _ in blocks], targets)
        self._weights_type = weights_type
        self._activations = activations or ("auto" if weights_type else None)
        self._free = free
        self._packed = packed

    def replace(self, name: str, block: torch.nn.Module) -> Entry:
        """Makes `block` run compiled code; says in the Entry why it does not."""
        entry = Entry(name, "block")
        old = block.__dict__.get(_ATTRIBUTE)
        if old is not None and old.is_freed and old.stored != self._weights_type:
            fail(f"{name}: its own matrices were freed when it was prepared with weights_type={old.stored!r}; load the "
                 f"model again for weights_type={self._weights_type!r}")
        if old is not None and old.is_current() and old.stored == self._weights_type:
            entry.artifact = old.key
            entry.nbytes = old.layer.weights.nbytes
            return entry
        try:
            made, entry.deviation = self._make(name, block)
        except (Unsupported, Error) as reason:
            entry.reason = str(reason)
            return entry
        entry.artifact = made.key
        assert made.layer.weights is not None
        entry.nbytes = made.layer.weights.nbytes
        if self._free:
            for owner in block._modules["experts"].modules():  # type: ignore[union-attr]
                for key, parameter in owner._parameters.items():
                    if parameter is not None:
                        owner._parameters[key] = torch.nn.Parameter(torch.empty_like(parameter, device="meta"),
                                                                    requires_grad=False)
            made.is_freed = True
            made.watch(block)
        block.__dict__[_ATTRIBUTE] = made
        block.forward = types.MethodType(_forward, block)
        return entry

    def _make(self, name: str, block: torch.nn.Module) -> Tuple[_Block, float]:
        """The compiled block, and how far it is from the model's own code; raises Unsupported."""
        if block.training:
            raise Unsupported("it is in training mode; call model.eval() before")
        experts = block._modules["experts"]
        assert experts is not None
        first = next(experts.parameters())
        if first.dtype not in DTYPES or first.device.type != "cpu":
            raise Unsupported(f"its experts are {first.dtype} on {first.device}; expected float32, bfloat16 or float16 "
                              "on the CPU")
        rows = first.dtype
        plain = "bf16" if rows is torch.bfloat16 else "f32"
        file = self._packed / f"{name}.safetensors" if self._packed is not None else None
        if file is not None and file.exists():
            # What it was packed from was compared when it was.
            made = self._open(name, block, rows, self._weights_type or plain)
            made.bind(Weights.open(file))
            return made, self._compared(made, block)
        made, tensors, error = self._read(name, block, rows, plain)
        if self._weights_type is None and file is None:
            return made, error
        if self._weights_type is not None:
            # Errors of formats hide those of a wrong reading, which the other types would show.
            del made
            made = self._open(name, block, rows, self._weights_type)
            made.bind(_pack(made.layer, _stored(tensors, self._weights_type)))
        if file is not None:
            assert made.layer.weights is not None
            made.bind(Weights.open(made.layer.weights.save(file)))
        return made, self._compared(made, block)

    def _open(self, name: str, block: torch.nn.Module, rows: torch.dtype, weights: str) -> _Block:
        """The code of `block`, without weights."""
        stored = self._weights_type if weights == self._weights_type else None
        artifact, function = self._code.of(name, DTYPES[rows], weights, self._activations if stored else None)
        layer = load(artifact.path, function=function, threads=torch.get_num_threads())
        return _Block(block, layer, artifact.manifest.id, rows, stored)

    def _read(self, name: str, block: torch.nn.Module, rows: torch.dtype,
              weights: str) -> Tuple[_Block, Dict[str, torch.Tensor], float]:
        """The compiled block with the reading of its parameters that computes what it does,
        that reading, by the importer's names, and how far the block deviates with it."""
        made = self._open(name, block, rows, weights)
        wanted = {arg.name: tuple(arg.shape) for arg in made.layer.model_tensors}
        count, hidden = wanted["router.weight"] if "router.weight" in wanted else (0, 0)
        error: Optional[float] = None
        for tensors in _experts_tensors(block._modules["experts"], int(count)):
            tensors = {**tensors, **_others(block, int(count), int(hidden))}
            missing = [key for key in wanted if key not in tensors]
            if missing:
                raise Unsupported(f"no parameter of it is {missing[0]} {list(wanted[missing[0]])}, which its family "
                                  "has")
            extra = [key for key in tensors if key not in wanted]
            if extra:
                raise Unsupported(f"its family has no {extra[0]}, and the block does")
            if any(tuple(tensors[key].shape) != shape for key, shape in wanted.items()):
                continue
            made.bind(_pack(made.layer, tensors))
            error = _deviation(made, block)
            if error is not None and error <= tolerance_of(rows, None):
                return made, tensors, error
        said = f"it deviates by {error:.1e} from" if error is not None else "its parameters have other shapes than"
        raise Unsupported(f"compiled as moe-import reads the configuration, {said} the model's own code")

    @staticmethod
    def _compared(made: _Block, block: torch.nn.Module) -> float:
        """The deviation of a block whose weights may come from a file."""
        error = _deviation(made, block)
        if error is None or not error <= tolerance_of(made.rows, made.stored):
            said = "has other shapes than" if error is None else f"deviates by {error:.1e} from"
            source = made.layer.weights.path if made.layer.weights is not None else None
            raise Unsupported(f"it {said} the model's own code" + (f" with the weights of {source}" if source else ""))
        return error


def _pack(layer: Layer, tensors: Mapping[str, torch.Tensor]) -> Weights:
    return layer.pack({arg.name: tensors[arg.name].detach().contiguous() for arg in layer.model_tensors})


def set_aside(model: torch.nn.Module) -> Tuple[List[Tuple[torch.nn.Module, _Block]], Dict[str, str]]:
    """Lets the model's own code run in place of compiled blocks, until they are put back
    as `_moe_mlir_block`; says by name which cannot be."""
    found, left = [], {}
    for name, module in model.named_modules():
        block = module.__dict__.get(_ATTRIBUTE)
        if block is None:
            continue
        if block.is_freed:
            left[name] = "it is a compiled block whose own parameters were freed"
        else:
            found.append((module, block))
            module.__dict__[_ATTRIBUTE] = None
    return found, left
