# ===- _activation.py - Which function an expert's activation is ----------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Recognises activations by what they compute.

A module of experts has code between its two products, not a name: `act_fn`, or an
`_apply_gate` of its own. That code is run on numbers. What agrees with a named
activation of the dialect is written by its name; of all else the operations are
recorded and written as a region, which is run on the same numbers to see that
nothing was misread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

__all__ = ["Activation", "Unrecognized", "recognize"]

#: A number, "gate", "up", or an operation and its operands.
Expr = Any

#: How far float32 code and the same formula in float64 may be apart, in parts of the
#: value and as a number.
TOLERANCE = 2e-5


class Unrecognized(Exception):
    """Why there is no formula for a module's activation."""


@dataclass(frozen=True)
class Activation:
    """`attribute` is the dialect's attribute, such as `#moe.silu`; without one,
    `region` is the text of a `body` behind `moe.ffn`."""

    attribute: Optional[str]
    region: Optional[str] = None

    def __str__(self) -> str:
        return self.attribute or "a region"


# -- Formulas -----------------------------------------------------------------

_UNARY: Dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt, "tanh": torch.tanh, "erf": torch.erf, "sin": torch.sin, "cos": torch.cos,
    "log1p": torch.log1p, "expm1": torch.expm1,
}
_BINARY: Dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div,
    "min": torch.minimum, "max": torch.maximum,
}
_MLIR = {
    "neg": "arith.negf", "abs": "math.absf", "exp": "math.exp", "log": "math.log", "sqrt": "math.sqrt",
    "rsqrt": "math.rsqrt", "tanh": "math.tanh", "erf": "math.erf", "sin": "math.sin", "cos": "math.cos",
    "log1p": "math.log1p", "expm1": "math.expm1", "add": "arith.addf", "sub": "arith.subf",
    "mul": "arith.mulf", "div": "arith.divf", "min": "arith.minimumf", "max": "arith.maximumf",
}


def _sigmoid(v: Expr) -> Expr:
    return ("div", 1.0, ("add", 1.0, ("exp", ("neg", v))))


def _silu(v: Expr, alpha: float = 1.0) -> Expr:
    return ("div", v, ("add", 1.0, ("exp", ("mul", -alpha, v))))


def _gelu(v: Expr) -> Expr:
    return ("mul", ("mul", 0.5, v), ("add", 1.0, ("erf", ("mul", math.sqrt(0.5), v))))


def _gelu_tanh(v: Expr) -> Expr:
    cubic = ("add", v, ("mul", 0.044715, ("mul", v, ("mul", v, v))))
    return ("mul", ("mul", 0.5, v), ("add", 1.0, ("tanh", ("mul", math.sqrt(2 / math.pi), cubic))))


def _relu(v: Expr) -> Expr:
    return ("max", v, 0.0)


def _clamp(v: Expr, low: Optional[float], high: Optional[float]) -> Expr:
    if low is not None:
        v = ("max", v, float(low))
    return v if high is None else ("min", v, float(high))


#: The dialect's activations of one argument, as it defines them.
_NAMED: Dict[str, Callable[[Expr], Expr]] = {
    "#moe.silu": _silu,
    "#moe.gelu": _gelu,
    "#moe.gelu_tanh": _gelu_tanh,
    "#moe.quick_gelu": lambda v: _silu(v, 1.702),
    "#moe.relu": _relu,
    "#moe.relu2": lambda v: ("mul", _relu(v), _relu(v)),
    "#moe.tanh": lambda v: ("tanh", v),
    "#moe.identity": lambda v: v,
}


def _clamped_swiglu(alpha: float, limit: float, offset: float) -> Expr:
    gate = _clamp("gate", None, limit)
    up = _clamp("up", -limit, limit)
    return ("mul", _silu(gate, alpha), ("add", up, offset) if offset else up)


def evaluate(expr: Expr, gate: Optional[torch.Tensor], up: torch.Tensor) -> torch.Tensor:
    """The value of `expr` in float64."""
    if expr == "gate":
        assert gate is not None
        return gate.double()
    if expr == "up":
        return up.double()
    if isinstance(expr, float):
        return torch.full_like(up, expr, dtype=torch.float64)
    operands = [evaluate(operand, gate, up) for operand in expr[1:]]
    return _UNARY[expr[0]](*operands) if len(operands) == 1 else _BINARY[expr[0]](*operands)


def _write(expr: Expr, gated: bool) -> str:
    """`expr` as a body of moe.ffn, on scalars in f32."""
    lines: List[str] = []
    names: Dict[Any, str] = {"gate": "%act_gate", "up": "%act_up"}

    def value(e: Expr) -> str:
        if e in names:
            return names[e]
        if isinstance(e, float):
            line = f"arith.constant {e!r} : f32" if "e" not in repr(e) else f"arith.constant {e:.17e} : f32"
        else:
            line = f"{_MLIR[e[0]]} {', '.join([value(o) for o in e[1:]])} : f32"
        names[e] = f"%act_{len(lines)}"
        lines.append(f"        {names[e]} = {line}")
        return names[e]

    result = value(expr)
    arguments = "%act_gate: f32, %act_up: f32" if gated else "%act_up: f32"
    return "\n".join(["body {", f"      ^bb0({arguments}):", *lines, f"        moe.yield {result} : f32", "      }"])


# -- Recording ----------------------------------------------------------------


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unrecognized(f"its activation has the operand {value!r}, which is no number")
    return float(value)


def _record(run: Callable[[torch.Tensor], torch.Tensor], sample: torch.Tensor, gated: bool) -> Expr:
    """The operations of `run` on `sample`, [n, 2 I] with a gate and [n, I] without."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        graph: Any = make_fx(lambda given: run(given))(sample).graph
    except Exception as error:  # Whatever a model's code may raise.
        raise Unrecognized(f"its activation cannot be recorded: {str(error).splitlines()[0]}") from error
    columns = sample.shape[1]
    values: Dict[Any, Expr] = {}

    def part(start: int, stop: int, step: int) -> Expr:
        stop = min(stop, columns)
        if (start, stop, step) == (0, columns, 1):
            return "all" if gated else "up"
        halves = {(0, columns // 2, 1): "gate", (columns // 2, columns, 1): "up",
                  (0, columns, 2): "gate", (1, columns, 2): "up"}
        if not gated or (start, stop, step) not in halves:
            raise Unrecognized("its activation reads other columns than halves of its input")
        return halves[start, stop, step]

    def operand(value: Any) -> Expr:
        found = values[value] if isinstance(value, torch.fx.Node) else _number(value)
        if found == "all" or isinstance(found, list):
            raise Unrecognized("its activation mixes columns of gate and up")
        return found

    for node in graph.nodes:
        args, kwargs = node.args, node.kwargs
        if node.op == "placeholder":
            values[node] = "all" if gated else "up"
            continue
        if node.op == "output":
            result = operand(args[0][0] if isinstance(args[0], (list, tuple)) else args[0])
            return result
        if node.op != "call_function":
            raise Unrecognized(f"its activation uses {node.target}")
        name = getattr(node.target, "__name__", str(node.target)).split(".")[0]
        if name in ("split", "chunk", "split_with_sizes"):
            size = args[1] if isinstance(args[1], int) else args[1][0]
            if values[args[0]] != "all" or size != (columns // 2 if name != "chunk" else 2):
                raise Unrecognized("its activation splits its input otherwise than in two halves")
            values[node] = ["gate", "up"]
        elif name == "getitem":
            values[node] = values[args[0]][args[1]]
        elif name == "slice":
            given: List[Any] = [*args[1:], *[0, 0, None, 1][len(args) - 1:]]
            dim, start, stop, step = given[:4]
            if dim in (0, -2) and not start:
                values[node] = values[args[0]]
            elif values[args[0]] == "all" or (not gated and values[args[0]] == "up"):
                values[node] = part(start or 0, columns if stop is None else stop, step)
            else:
                raise Unrecognized("its activation slices what it computed")
        elif name in ("_to_copy", "clone", "alias", "detach", "view", "contiguous", "lift_fresh_copy"):
            values[node] = operand(args[0])
        else:
            values[node] = _operation(name, [operand(a) if isinstance(a, torch.fx.Node) else a for a in args], kwargs)
    raise Unrecognized("its activation gives no result")


def _operation(name: str, args: List[Any], kwargs: Dict[str, Any]) -> Expr:
    v = args[0]
    bounds = [args[i] if len(args) > i else kwargs.get(key) for i, key in ((1, "min"), (2, "max"))]
    softplus = ("add", _relu(v), ("log1p", ("exp", ("neg", ("abs", v)))))
    unary: Dict[str, Callable[[], Expr]] = {
        "reciprocal": lambda: ("div", 1.0, v), "sigmoid": lambda: _sigmoid(v), "relu": lambda: _relu(v),
        "silu": lambda: _silu(v), "square": lambda: ("mul", v, v), "softplus": lambda: softplus,
        "mish": lambda: ("mul", v, ("tanh", softplus)),
    }
    binary = {"maximum": "max", "minimum": "min", "clamp_min": "max", "clamp_max": "min"}
    base = name[:-1] if name.endswith("_") else name  # In place is the same value.
    if base in _UNARY and len(args) == 1:
        return (base, v)
    if base in unary and len(args) == 1:
        return unary[base]()
    if base == "gelu":
        return (_gelu_tanh if kwargs.get("approximate", "none") == "tanh" else _gelu)(v)
    if base == "leaky_relu":
        slope = _number(args[1]) if len(args) > 1 else 0.01
        return ("add", _relu(v), ("mul", slope, ("min", v, 0.0)))
    if base in ("clamp", "hardtanh"):
        return _clamp(v, *(None if b is None else _number(b) for b in bounds))
    if base in _BINARY or base in binary:
        other = args[1] if isinstance(args[1], (tuple, str)) else _number(args[1])
        if kwargs.get("alpha", 1) != 1 or kwargs.get("rounding_mode"):
            raise Unrecognized(f"its activation uses {name} with {dict(kwargs)}")
        v = v if isinstance(v, (tuple, str)) else _number(v)
        return (binary.get(base, base), v, other)
    if base == "rsub":
        return ("sub", args[1] if isinstance(args[1], (tuple, str)) else _number(args[1]), v)
    if base == "pow" and not isinstance(args[1], (tuple, str)) and _number(args[1]) in (2.0, 3.0):
        square = ("mul", v, v)
        return square if args[1] == 2 else ("mul", square, v)
    raise Unrecognized(f"its activation uses the operation {name}, which has no formula here")


# -- Recognition --------------------------------------------------------------


def _constants(expr: Expr) -> List[float]:
    if isinstance(expr, float):
        return [expr]
    return [c for operand in expr[1:] for c in _constants(operand)] if isinstance(expr, tuple) else []


def _agrees(expr: Expr, gate: Optional[torch.Tensor], up: torch.Tensor, expected: torch.Tensor) -> bool:
    found = evaluate(expr, gate, up)
    return bool(((found - expected).abs() <= TOLERANCE * (1 + expected.abs())).all())


def recognize(run: Callable[[torch.Tensor], torch.Tensor], columns: int, gated: bool, concatenated: bool) -> Activation:
    """The activation that `run` computes.

    run: from [n, 2 `columns`] with a gate, halves or (`concatenated` false) every other
        column, or from [n, `columns`] without, to [n, `columns`], in float32.
    Raises Unrecognized, which says why.
    """
    rows = max(4, -(-4096 // columns))
    generator = torch.Generator().manual_seed(20)

    def numbers() -> torch.Tensor:
        # Near zero where the functions differ, and far away where clamps act.
        scale = torch.tensor([0.3, 1.5, 4.0, 25.0]).repeat(-(-rows // 4))[:rows, None]
        return torch.randn(rows, columns, generator=generator) * scale

    up = numbers()
    gate = numbers() if gated else None
    if gate is None:
        sample = up
    elif concatenated:
        sample = torch.cat([gate, up], dim=1)
    else:
        sample = torch.stack([gate, up], dim=2).reshape(rows, 2 * columns)
    with torch.no_grad():
        try:
            expected = run(sample)
        except Exception as error:  # Whatever a model's code may raise.
            raise Unrecognized(f"its activation does not run by itself: {str(error).splitlines()[0]}") from error
        if expected.shape != up.shape:
            raise Unrecognized(f"its activation gives {list(expected.shape)} for {list(sample.shape)}")
        expected = expected.double()
        for name, formula in _NAMED.items():
            expr = formula("gate") if gated else formula("up")
            if _agrees(("mul", expr, "up") if gated else expr, gate, up, expected):
                return Activation(name)
        recorded = _record(run, sample, gated)
        if not _agrees(recorded, gate, up, expected):
            raise Unrecognized("its activation is not what its operations say; it depends on more than its input")
        if gated:
            constants = sorted({abs(c) for c in _constants(recorded)} | {1.0})
            for alpha in constants:
                for limit in (c for c in constants if c > 0):
                    for offset in (0.0, 1.0):
                        if _agrees(_clamped_swiglu(alpha, limit, offset), gate, up, expected):
                            return Activation(f"#moe.clamped_swiglu<alpha = {alpha!r}, limit = {limit!r}, "
                                              f"offset = {offset!r}>")
    return Activation(None, _write(recorded, gated))
