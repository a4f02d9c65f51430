# ===- _ir.py - The IR of a module of experts -----------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Writes experts with a routing from outside in the `moe` dialect.

Arguments are the module's parameters as they are: which rows are the gate's, and
what is transposed, is said by views, which packing follows. So all modules of the
same shapes and kind share an artifact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

from ._activation import Activation

__all__ = ["Spec", "experts_ir"]

#: Formats of weights that blocks are stored in: (weights, bytes) of a block.
BLOCKS = {"q8_0": (32, 34), "q5_1": (32, 24), "q5_0": (32, 22), "q4_1": (32, 20), "q4_0": (32, 18),
          "iq4_nl": (32, 18), "q6_k": (256, 210), "q5_k": (256, 176), "q4_k": (256, 144), "q3_k": (256, 110),
          "q2_k": (256, 84), "iq4_xs": (256, 136)}


@dataclass(frozen=True)
class Spec:
    """What decides the code of a module of experts.

    experts, hidden, intermediate: E, H and I. output: columns of the result, which
        is H as a rule. slots: K.
    gated, concatenated, transposed, bias: the flags of transformers'
        `use_experts_implementation`.
    norm_eps: of an RMS norm of each expert's rows, which takes the arguments
        `norm.before` and `norm.after`, f32 [output]; None without.
    rows, weights: element types of x and y, and of the parameters: f32, bf16 or f16.
    stored: a format that weights are stored in, such as q8_0; the parameters are
        [E, 2 I, H] and [E, output, I] then.
    """

    experts: int
    hidden: int
    intermediate: int
    output: int
    slots: int
    activation: Activation
    gated: bool = True
    concatenated: bool = True
    transposed: bool = False
    bias: bool = False
    norm_eps: Optional[float] = None
    rows: str = "f32"
    weights: str = "f32"
    stored: Optional[str] = None

    @property
    def up_name(self) -> str:
        return "gate_up_proj" if self.gated else "up_proj"

    @property
    def up_columns(self) -> int:
        return self.intermediate * (2 if self.gated else 1)

    @property
    def halves(self) -> bool:
        """Whether weights stay f16: rows of whole blocks of 32. Others are packed as f32."""
        return self.weights == "f16" and not (self.transposed or self.hidden % 32 or self.intermediate % 32)

    def matrix(self, rows: int, columns: int) -> Tuple[int, int, int]:
        """The shape of a parameter of [rows, columns] matrices."""
        return (self.experts, columns, rows) if self.transposed else (self.experts, rows, columns)


def _tensor(shape: Tuple[int, ...], dtype: str) -> str:
    return "tensor<" + "x".join(["?" if d < 0 else str(d) for d in shape] + [dtype]) + ">"


def _norm(n: int, eps: float) -> List[str]:
    """`%f` scaled by `%before`, divided by its root of mean squares, scaled by `%after`."""
    rows, vector = f"tensor<?x{n}xf32>", f"tensor<{n}xf32>"
    each, row, column = (f"affine_map<(t, n) -> ({dims})>" for dims in ("t, n", "t", "n"))

    def generic(result: str, kinds: str, maps: List[str], operands: str, body: List[str], type_: str) -> List[str]:
        return [f"%{result} = linalg.generic {{indexing_maps = [{', '.join(maps)}], iterator_types = [{kinds}]}}"
                f" {operands} {{", *("  " + line for line in body), f"}} -> {type_}"]

    parallel, sums = '"parallel", "parallel"', '"parallel", "reduction"'
    return [
        "%c0 = arith.constant 0 : index",
        f"%count = tensor.dim %f, %c0 : {rows}",
        f"%rows_e = tensor.empty(%count) : {rows}",
        *generic("scaled", parallel, [each, column, each],
                 f"ins(%f, %before : {rows}, {vector}) outs(%rows_e : {rows})",
                 ["^bb0(%a: f32, %s: f32, %o: f32):", "%m = arith.mulf %a, %s : f32", "linalg.yield %m : f32"], rows),
        "%sums_e = tensor.empty(%count) : tensor<?xf32>",
        "%zero = arith.constant 0.0 : f32",
        "%sums = linalg.fill ins(%zero : f32) outs(%sums_e : tensor<?xf32>) -> tensor<?xf32>",
        *generic("squares", sums, [each, row], f"ins(%scaled : {rows}) outs(%sums : tensor<?xf32>)",
                 ["^bb0(%a: f32, %o: f32):", "%q = arith.mulf %a, %a : f32", "%p = arith.addf %o, %q : f32",
                  "linalg.yield %p : f32"], "tensor<?xf32>"),
        *generic("normed", parallel, [each, row, column, each],
                 f"ins(%scaled, %squares, %after : {rows}, tensor<?xf32>, {vector}) outs(%rows_e : {rows})",
                 ["^bb0(%a: f32, %sum: f32, %s: f32, %o: f32):", f"%columns = arith.constant {float(n)!r} : f32",
                  f"%eps = arith.constant {eps:.17e} : f32", "%mean = arith.divf %sum, %columns : f32",
                  "%shifted = arith.addf %mean, %eps : f32", "%root = math.rsqrt %shifted : f32",
                  "%u = arith.mulf %a, %root : f32", "%m = arith.mulf %u, %s : f32", "linalg.yield %m : f32"], rows),
    ]


def _cast(result: str, value: str, columns: int, op: str, types: Tuple[str, str]) -> List[str]:
    """The tensor `value` of T rows in the other type."""
    source, target = (f"tensor<?x{columns}x{t}>" for t in types)
    same = "affine_map<(t, n) -> (t, n)>"
    return [f"{result}_0 = arith.constant 0 : index",
            f"{result}_t = tensor.dim {value}, {result}_0 : {source}",
            f"{result}_e = tensor.empty({result}_t) : {target}",
            f'{result} = linalg.generic {{indexing_maps = [{same}, {same}], iterator_types = ["parallel", "parallel"]}}'
            f" ins({value} : {source}) outs({result}_e : {target}) {{",
            f"^bb0(%a: {types[0]}, %o: {types[1]}):",
            f"  %b = arith.{op} %a : {types[0]} to {types[1]}",
            f"  linalg.yield %b : {types[1]}",
            f"}} -> {target}"]


def experts_ir(spec: Spec) -> str:
    """The function @experts of `spec`.

    x [T, H], the parameters, `routing.indices` i32 [T, K] (what is outside of [0, E)
    is no expert) and `routing.weights` f32 [T, K] give y [T, output].
    """
    e, h, i, o, k = spec.experts, spec.hidden, spec.intermediate, spec.output, spec.slots
    # What is added to an expert's rows, or divides them, is computed in f32: the rows
    # are rounded once, when they have been summed.
    wide = spec.rows != "f32" and (spec.bias or spec.norm_eps is not None)
    d = "f32" if wide else spec.rows
    x, y = _tensor((-1, h), d), _tensor((-1, o), d)
    routing = f"!moe.routing<{e} x {k}>"
    indices, weights = f"tensor<?x{k}xi32>", f"tensor<?x{k}xf32>"
    matrices = [("up", spec.up_name, spec.up_columns, h), ("down", "down_proj", o, i)]

    outer_x, outer_y = _tensor((-1, h), spec.rows), _tensor((-1, o), spec.rows)
    x_name = "%x_narrow" if wide else "%x"
    arguments = [f'{x_name}: {outer_x} {{moe.name = "x", moe.dims = ["T"]}}']
    before = _cast("%x", x_name, h, "extf", (spec.rows, d)) if wide else []  # In front of the layer.
    group: List[Tuple[str, str, str, str]] = []  # %weight, its type; %slice, its type.
    body: List[str] = []
    for short, name, rows, columns in matrices:
        if spec.stored or spec.halves:
            # Stored weights are decoded by what multiplies them, and f16 is a format, too.
            storage, form = _tensor((e, rows, columns), "f16"), "f16"
            if spec.stored:
                size, bytes_ = BLOCKS[spec.stored]
                storage, form = _tensor((e, rows, columns // size, bytes_), "i8"), spec.stored
            arguments.append(f'%{short}_stored: {storage} {{moe.name = "{name}"}}')
            stack = _tensor((e, rows, columns), "f32")
            before.append(f"%{short} = moe.dequantize #moe.{form} (%{short}_stored : {storage}) : {stack}")
            group.append((f"%{short}", stack, f"%{short}_w", _tensor((rows, columns), "f32")))
            continue
        shape = spec.matrix(rows, columns)
        w = "f32" if spec.weights == "f16" else spec.weights
        arguments.append(f'%{short}: {_tensor(shape, w)} {{moe.name = "{name}"}}')
        view = f"%{short}_t" if spec.transposed else f"%{short}_w"
        group.append((f"%{short}", _tensor(shape, w), view, _tensor(shape[1:], w)))
        if spec.transposed:
            to = _tensor((rows, columns), w)
            body += [f"%{short}_e = tensor.empty() : {to}",
                     f"%{short}_w = linalg.transpose ins({view} : {_tensor(shape[1:], w)})"
                     f" outs(%{short}_e : {to}) permutation = [1, 0]"]
    decoded = "f32" if spec.stored else "bf16" if spec.weights == "bf16" else "f32"
    if spec.bias:
        for short, columns in (("up", spec.up_columns), ("down", o)):
            name = (spec.up_name if short == "up" else "down_proj") + "_bias"
            arguments.append(f'%{short}_b: {_tensor((e, columns), "f32")} {{moe.name = "{name}"}}')
            group.append((f"%{short}_b", _tensor((e, columns), "f32"), f"%{short}_v", _tensor((columns,), "f32")))
    if spec.norm_eps is not None:
        for name in ("before", "after"):
            arguments.append(f'%{name}_e: tensor<{e}x{o}xf32> {{moe.name = "norm.{name}"}}')
            group.append((f"%{name}_e", f"tensor<{e}x{o}xf32>", f"%{name}", f"tensor<{o}xf32>"))
    arguments += [f'%i: {indices} {{moe.name = "routing.indices", moe.dims = ["T"]}}',
                  f'%w: {weights} {{moe.name = "routing.weights", moe.dims = ["T"]}}']

    half, whole = _tensor((i, h), decoded), _tensor((spec.up_columns, h), decoded)
    operands = [("up", "%up_w", whole)]
    biases: List[Tuple[str, str, str]] = []
    if spec.gated:
        step = 1 if spec.concatenated else 2
        starts = (("gate", 0), ("up", i if spec.concatenated else 1))
        operands = []
        for name, start in starts:
            body.append(f"%{name}_part = tensor.extract_slice %up_w[{start}, 0] [{i}, {h}] [{step}, 1]"
                        f" : {whole} to {half}")
            operands.append((name, f"%{name}_part", half))
            if spec.bias:
                body.append(f"%{name}_bias = tensor.extract_slice %up_v[{start}] [{i}] [{step}]"
                            f" : tensor<{2 * i}xf32> to tensor<{i}xf32>")
                biases.append((f"{name}_bias", f"%{name}_bias", f"tensor<{i}xf32>"))
    elif spec.bias:
        biases.append(("up_bias", "%up_v", f"tensor<{i}xf32>"))
    operands.append(("down", "%down_w", _tensor((o, i), decoded)))
    if spec.bias:
        biases.append(("down_bias", "%down_v", f"tensor<{o}xf32>"))
    operands += biases
    named = " ".join(f"{name}({value})" for name, value, _ in operands)
    attribute = f" activation({spec.activation.attribute})" if spec.activation.attribute else ""
    region = f" {spec.activation.region}" if spec.activation.region else ""
    body.append(f"%f = moe.ffn %t {named}{attribute} : ({', '.join([x, *(t for *_, t in operands)])}) -> {y}{region}")
    if spec.norm_eps is not None:
        body += _norm(o, spec.norm_eps)
    body.append(f"moe.yield {'%f' if spec.norm_eps is None else '%normed'} : {y}")

    head = ",\n    ".join(arguments)
    lines = [*before,
             f"%r = moe.routing.make %i, %w trusted : {indices}, {weights} -> {routing}",
             f"%rows = moe.dispatch %x by %r : {x}, {routing} -> {x}",
             f"%out = moe.expert %rows by %r : ({x}, {routing}) -> {y}",
             f"experts 0 to {e} weights({', '.join(g[0] for g in group)} : {', '.join(g[1] for g in group)}) {{",
             f"^bb0({', '.join([f'%t: {x}', *(f'{g[2]}: {g[3]}' for g in group)])}):",
             *("  " + line for line in body), "}",
             f"%y = moe.combine %out by %r : {y}, {routing} -> {y}",
             *(_cast("%y_narrow", "%y", o, "truncf", (d, spec.rows)) if wide else []),
             f"return {'%y_narrow' if wide else '%y'} : {outer_y}"]
    text = "\n".join("  " + line for line in lines)
    return f'func.func @experts({head}) -> ({outer_y} {{moe.name = "y", moe.dims = ["T"]}}) {{\n{text}\n}}\n'
