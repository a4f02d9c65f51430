# ===- _block_ir.py - The code of a model's blocks -------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""From a model's configuration to one artifact with the code of all its blocks.

moe-import runs once for all layers, and layers whose IR is the same share a function,
so that a model of equal layers compiles one.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from .. import _compile
from .._compile import Artifact
from .._errors import Error, fail
from ._experts import Unsupported

__all__ = ["Code", "number_of"]


def number_of(name: str) -> Optional[int]:
    """The layer of a module's path, such as 3 of model.layers.3.mlp."""
    match = re.search(r"(?:^|\.)(?:layers|blocks|h)\.(\d+)(?:\.|$)", name)
    return int(match.group(1)) if match else None


# -- IR -------------------------------------------------------------------------------


class _Function(NamedTuple):
    """The text of a function that is called `@block`, and what stands in front of it."""

    head: str
    text: str


def _split(ir: str) -> Tuple[str, Dict[Optional[int], str]]:
    """What stands in front of the functions of a module as the tools print it, and the
    text of each by the number of its layer."""
    functions: Dict[Optional[int], str] = {}
    first = None
    for match in re.finditer(r"^  func\.func @layer_(\d+)\(.*?^  }\n", ir, re.M | re.S):
        first = match.start() if first is None else first
        # Functions of layers that differ in nothing are the same text.
        text = re.sub(r"moe\.layer = \d+ : i64(, )?", "", match.group(0))
        functions[int(match.group(1))] = text.replace(f"@layer_{match.group(1)}(", "@block(", 1)
    if first is None:
        fail("moe-import wrote no function of a layer")
    return ir[:first], functions


def _import(config: Dict[str, Any], layers: Union[str, int, None],
            weights: str) -> Tuple[str, Dict[Optional[int], str]]:
    """The importer's IR of `layers`, from a configuration as transformers has it."""
    options: Dict[str, Any] = dict(part="block", weights_type=weights, family=None, experts=None)
    while True:
        try:
            return _split(_compile._read_ir(config, layers=layers, **options).output)
        except Error as error:
            # Configurations hold what they derived from others, which no file has. What the
            # layer computes is compared with the model's own code in any case.
            derived = re.search(r"key '(\w+)' is .*: it may change a layer, by its name, and is not read", str(error))
            if not derived or derived.group(1) not in config:
                raise
            config = {key: value for key, value in config.items() if key != derived.group(1)}


def _import_layers(config: Dict[str, Any], numbers: Sequence[Optional[int]],
                   weights: str) -> Dict[Optional[int], Union[_Function, str]]:
    """The function of each of `numbers`, or why there is none."""
    found: Dict[Optional[int], Union[_Function, str]] = {}
    if len(numbers) > 1:
        try:
            head, functions = _import(config, "all", weights)
        except Error:
            pass  # Perhaps because of one layer: each by itself, then.
        else:
            # Numbers that are none of these mean the first one, as where an encoder and a
            # decoder count by themselves.
            first = next(iter(functions.values()))
            return {number: _Function(head, functions.get(number, first)) for number in numbers}
    for number in numbers:
        for layers in (number, None):
            try:
                head, functions = _import(config, layers, weights)
            except Error as error:
                found[number] = str(error)
            else:
                found[number] = _Function(head, next(iter(functions.values())))
                break
    return found


def _wrap(function: str, rows: str) -> str:
    """@block with x and y of type `rows` in place of f32, which calls what it was."""
    match = re.search(r"func\.func @block\((.*)\) -> \((tensor<\?x\d+xf32>) \{([^}]*)\}\)", function)
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

    call = f"%y = func.call @block.f32({given}) : ({', '.join(y if n == '%x' else t for n, t, _ in values)}) -> {y}\n"
    wrapper = (f"func.func @block({head}) -> ({narrow} {{{y_attributes}}}) {{\n%c0 = arith.constant 0 : index\n"
               f"%count = tensor.dim %x, %c0 : {narrow}\n" + cast("wide", "%x", "extf", narrow, y) + call
               + cast("result", "%y", "truncf", y, narrow) + f"return %result : {narrow}\n}}\n")
    return function.replace("func.func @block(", "func.func private @block.f32(") + wrapper


# -- Code -----------------------------------------------------------------------------


class _Kind(NamedTuple):
    """What decides the code of a block beside its layer: the types of its rows and
    weights as the IR spells them, and how rows are rounded that meet weights in formats."""

    rows: str
    weights: str
    activations: Optional[str]


class Code:
    """The code of the blocks `names` of a model, made when the first of them is asked for.

    targets: as compile() takes them.
    """

    def __init__(self, model: Any, names: Sequence[str], targets: Any = "native") -> None:
        self._model = model
        self._numbers = list(dict.fromkeys(map(number_of, names)))
        self._targets = targets
        self._made: Dict[_Kind, Dict[Optional[int], Union[Tuple[Artifact, str], str]]] = {}

    def of(self, name: str, rows: str, weights: str, activations: Optional[str] = None) -> Tuple[Artifact, str]:
        """The artifact of the block `name`, and its function there; raises Unsupported.

        rows: the type of x and y. weights: of the experts, or the format they are stored in.
        """
        kind = _Kind(rows, weights, activations)
        made = self._made.get(kind)
        if made is None:
            made = self._made[kind] = self._make(kind)
        found = made[number_of(name)]
        if isinstance(found, str):
            raise Unsupported(found)
        return found

    def _config(self) -> Dict[str, Any]:
        config: Any = self._model.config
        get = getattr(config, "get_text_config", None)
        text = get(decoder=True) if get is not None else config
        return {"model_type": text.model_type, **text.to_dict()}

    def _make(self, kind: _Kind) -> Dict[Optional[int], Union[Tuple[Artifact, str], str]]:
        layers = _import_layers(self._config(), self._numbers, kind.weights)
        names: Dict[_Function, str] = {}
        modules: Dict[str, List[Tuple[str, str]]] = {}
        for layer in layers.values():
            if isinstance(layer, _Function) and layer not in names:
                names[layer] = f"block_{len(names)}"
                modules.setdefault(layer.head, []).append((names[layer], layer.text))
        found: Dict[str, Union[Tuple[Artifact, str], str]] = {}
        for head, texts in modules.items():
            found.update(self._compile(head, texts, kind))
        return {number: found[names[layer]] if isinstance(layer, _Function) else layer
                for number, layer in layers.items()}

    def _compile(self, head: str, texts: List[Tuple[str, str]],
                 kind: _Kind) -> Dict[str, Union[Tuple[Artifact, str], str]]:
        """The functions (name, text) of one module."""
        try:
            bodies = []
            for name, text in texts:
                text = text if kind.rows == "f32" else _wrap(text, kind.rows)
                bodies.append(re.sub(r"@block\b", f"@{name}", text))
            artifact = _compile.compile(head + "".join(bodies) + "}\n", targets=self._targets,
                                        activations=kind.activations, progress=False)
        except (Error, Unsupported) as error:
            if len(texts) == 1:
                return {texts[0][0]: str(error)}
            # The others may do.
            found: Dict[str, Union[Tuple[Artifact, str], str]] = {}
            for one in texts:
                found.update(self._compile(head, [one], kind))
            return found
        return {name: (artifact, name) for name, _ in texts}
