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

import re
import types
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import torch

from .. import _compile
from .._errors import Error, fail
from .._layer import Layer, load
from ..torch import DTYPES, NO_BACKWARD
from ._experts import Unsupported, _version, is_experts
from ._quantize import canonical
from ._report import Entry

__all__ = ["candidates", "replace", "set_aside"]

_ATTRIBUTE = "_moe_mlir_block"
#: Of the largest result; transformers rounds what routers compute in 16 bits, too.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 1e-2}


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
    for name, tensor in canonical(tensors, transposed, concatenated).items():
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


# -- Code -----------------------------------------------------------------------------


def _number(name: str) -> Optional[int]:
    """The layer of a module's path, such as 3 of model.layers.3.mlp."""
    match = re.search(r"(?:^|\.)(?:layers|blocks|h)\.(\d+)(?:\.|$)", name)
    return int(match.group(1)) if match else None


def _wrap(ir: str, rows: str) -> str:
    """The function with x and y of type `rows` in place of f32."""
    match = re.search(r"func\.func @block\((.*)\) -> \((tensor<\?x\d+xf32>) \{([^}]*)\}\)", ir)
    if not match:
        raise Unsupported("its IR has other arguments or results than expected")
    arguments, y, y_attributes = match.groups()
    values = re.findall(r"(%[\w.]+): (tensor<[^>]*>)( \{[^}]*\})?", arguments)
    narrow = y.replace("xf32>", f"x{rows}>")
    same = "affine_map<(t, n) -> (t, n)>"
    head = ", ".join(f"{name}: {narrow if name == '%x' else type_}{attributes}" for name, type_, attributes in values)
    given = ", ".join("%wide" if name == "%x" else name for name, _, _ in values)

    def cast(result: str, value: str, op: str, source: str, target: str) -> str:
        of, to = source.split("x")[-1].rstrip(">"), target.split("x")[-1].rstrip(">")
        return (f"%{result}_e = tensor.empty(%count) : {target}\n"
                f'%{result} = linalg.generic {{indexing_maps = [{same}, {same}], iterator_types = ["parallel", '
                f'"parallel"]}} ins({value} : {source}) outs(%{result}_e : {target}) {{\n'
                f"^bb0(%a: {of}, %o: {to}):\n%b = arith.{op} %a : {of} to {to}\n"
                f"linalg.yield %b : {to} }} -> {target}\n")

    call = f"%y = func.call @inner({given}) : ({', '.join(y if n == '%x' else t for n, t, _ in values)}) -> {y}\n"
    wrapper = (f"func.func @block({head}) -> ({narrow} {{{y_attributes}}}) {{\n%c0 = arith.constant 0 : index\n"
               f"%count = tensor.dim %x, %c0 : {narrow}\n" + cast("wide", "%x", "extf", narrow, y) + call
               + cast("result", "%y", "truncf", y, narrow) + f"return %result : {narrow}\n}}\n")
    inner = ir.replace("func.func @block(", "func.func private @inner(")
    close = inner.rstrip()
    if close.endswith("}") and re.search(r"^module\b", inner, re.M):
        return close[:-1] + wrapper + "}\n"
    return inner + wrapper


def _ir_of(config: Dict[str, Any], number: Optional[int], weights: str, rows: str) -> str:
    """The importer's IR of a layer, the same text for layers that differ in nothing."""
    options = dict(part="block", weights_type=weights, family=None, experts=None)
    try:
        ir = _compile._read_ir(config, layers=number, **options).output
    except Error as error:
        # Configurations hold what they derived from others, which no file has. What the
        # layer computes is compared with the model's own code in any case.
        derived = re.search(r"key '(\w+)' is .*: it may change a layer, by its name, and is not read", str(error))
        if derived and derived.group(1) in config:
            rest = {key: value for key, value in config.items() if key != derived.group(1)}
            return _ir_of(rest, number, weights, rows)
        if number is None:
            raise Unsupported(str(error)) from error
        return _ir_of(config, None, weights, rows)
    ir = re.sub(r"moe\.layer = \d+ : i64(, )?", "", re.sub(r"@layer_\d+", "@block", ir))
    return ir if rows == "f32" else _wrap(ir, rows)


class _Block:
    """The compiled block of a module."""

    def __init__(self, module: torch.nn.Module, layer: Layer, key: str, rows: torch.dtype) -> None:
        self.layer = layer
        self.key = key
        self.rows = rows
        self.is_tuple = self.is_flat = self.by_sequence = self.is_freed = False
        self.watch(module)

    def __deepcopy__(self, memo: Any) -> None:
        return None  # A copy of the model runs its own code.

    def watch(self, module: torch.nn.Module) -> None:
        self._watched = [(tensor, _version(tensor), tensor.data_ptr())
                         for tensor in [*module.parameters(), *module.buffers()]]

    def is_current(self) -> bool:
        """Whether the tensors that it was made of are unchanged."""
        return all(tensor.data_ptr() == address and _version(tensor) == version
                   for tensor, version, address in self._watched)

    def run(self, hidden_states: torch.Tensor) -> torch.Tensor:
        rows = hidden_states.reshape(-1, hidden_states.shape[-1])
        if self.by_sequence and hidden_states.dim() == 3:
            y = torch.cat([self.layer(sequence.contiguous()) for sequence in hidden_states])
        else:
            y = self.layer(rows.contiguous())
        return y if self.is_flat else y.view(hidden_states.shape)


def _forward(self: torch.nn.Module, hidden_states: torch.Tensor, *args: Any, **options: Any) -> Any:
    """The block of `self` on hidden_states [..., H]."""
    block = self.__dict__.get(_ATTRIBUTE)
    given = [value for value in (*args, *options.values()) if value is not None]
    if block is None or given or self.training or torch.compiler.is_compiling() \
            or type(hidden_states) is not torch.Tensor or hidden_states.dtype is not block.rows \
            or hidden_states.device.type != "cpu" or not block.is_current():
        if block is not None and block.is_freed:
            fail("this block's own parameters were freed, and its compiled code is for evaluation, "
                 f"{block.rows} tokens on the CPU, unchanged parameters and no other arguments")
        return type(self).forward(self, hidden_states, *args, **options)
    if torch.is_grad_enabled() and hidden_states.requires_grad:
        raise Error(NO_BACKWARD)
    with torch.no_grad():
        y = block.run(hidden_states)
    return (y, None) if block.is_tuple else y


# -- Replacing --------------------------------------------------------------------------


def _compile_block(name: str, block: torch.nn.Module, model: torch.nn.Module) -> Iterator[_Block]:
    """Compiled blocks for each reading of the parameters."""
    experts = block._modules["experts"]
    assert experts is not None
    first = next(experts.parameters())
    if first.dtype not in DTYPES or first.device.type != "cpu":
        raise Unsupported(f"its experts are {first.dtype} on {first.device}; expected float32, bfloat16 or float16 on "
                          "the CPU")
    config: Any = model.config
    number = _number(name)
    get = getattr(config, "get_text_config", None)
    text = get(decoder=True) if get is not None else config
    rows = DTYPES[first.dtype]
    described = {"model_type": text.model_type, **text.to_dict()}
    ir = _ir_of(described, number, "bf16" if rows == "bf16" else "f32", rows)
    artifact = _compile.compile(ir, progress=False)
    layer = load(artifact.path)
    wanted = {arg.name: tuple(arg.shape) for arg in layer.model_tensors}
    count, hidden = wanted["router.weight"] if "router.weight" in wanted else (0, 0)
    for tensors in _experts_tensors(experts, int(count)):
        tensors = {**tensors, **_others(block, int(count), int(hidden))}
        missing = [key for key in wanted if key not in tensors]
        if missing:
            raise Unsupported(f"no parameter of it is {missing[0]} {list(wanted[missing[0]])}, which its family has")
        extra = [key for key in tensors if key not in wanted]
        if extra:
            raise Unsupported(f"its family has no {extra[0]}, and the block does")
        if any(tuple(tensors[key].shape) != shape for key, shape in wanted.items()):
            continue
        # Of a reading that turns out wrong nothing is left.
        own = load(artifact.path, threads=torch.get_num_threads())
        own.weights = own.pack({key: tensors[key].detach().contiguous() for key in wanted})
        yield _Block(block, own, artifact.manifest.id, first.dtype)


def _deviation(block: _Block, module: torch.nn.Module) -> Optional[float]:
    """The largest difference to the module's own code; None if the results have other shapes."""
    arg = block.layer.arguments[0]
    hidden = int(arg.shape[1])
    generator = torch.Generator().manual_seed(23)
    x = torch.randn(2, 37, hidden, generator=generator).to(block.rows)
    with torch.no_grad():
        result = type(module).forward(module, x.clone())
        block.is_tuple = isinstance(result, tuple)
        expected = result[0] if block.is_tuple else result
        block.is_flat = expected.dim() == 2
        best = None
        for by_sequence in (False, True):
            block.by_sequence = by_sequence
            found = block.run(x)
            if found.shape != expected.shape:
                return None
            # A token whose routing is nearly a tie may go elsewhere in 16 bits: not all count.
            difference = (found - expected).double().reshape(-1, hidden).abs().amax(dim=1)
            scale = expected.double().abs().max().clamp_min(1e-30)
            error = difference.max() if block.rows is torch.float32 else difference.quantile(0.9)
            best = float(error / scale)
            if best <= TOLERANCE[block.rows]:
                return best
    return best


def replace(name: str, block: torch.nn.Module, model: torch.nn.Module, weights_type: Optional[str],
            free: bool = False) -> Entry:
    """Makes `block` of `model` run compiled code; says in the Entry why it does not."""
    entry = Entry(name, "block")
    old = block.__dict__.get(_ATTRIBUTE)
    if old is not None and old.is_current():
        entry.artifact = old.key
        return entry
    try:
        if weights_type is not None:
            raise Unsupported("weights in formats are for experts alone, replace='experts'")
        if block.training:
            raise Unsupported("it is in training mode; call model.eval() before")
        error: Optional[float] = None
        for made in _compile_block(name, block, model):
            error = _deviation(made, block)
            if error is not None and error <= TOLERANCE[made.rows]:
                break
        else:
            said = f"it deviates by {error:.1e} from" if error is not None else "its parameters have other shapes than"
            raise Unsupported(f"compiled as moe-import reads the configuration, {said} the model's own code")
    except (Unsupported, Error) as reason:
        entry.reason = str(reason)
        return entry
    entry.artifact, entry.deviation = made.key, error
    assert made.layer.weights is not None
    entry.nbytes = made.layer.weights.nbytes
    if free:
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
