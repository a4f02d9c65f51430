# ===- _manifest.py - What an artifact contains ---------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Reads the manifest that moe-compile writes beside a library.

Compiled code trusts its caller with shapes, so a file that was edited or cut is
refused: its `id` is a hash of the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple, Union

from ._errors import fail

#: `version` of manifests and `MOE_RT_ABI` of the code, as this package knows them.
VERSION = 2
ABI = 2

#: Bytes of an element.
DTYPE_BYTES = {"f32": 4, "f64": 8, "bf16": 2, "f16": 2, "i32": 4, "i64": 8, "i8": 1, "u8": 1, "i1": 1, "index": 8}

Dim = Union[int, str]


@dataclass(frozen=True)
class Arg:
    """An argument or a result of a compiled function.

    dtype: f32, f64, bf16, f16, i32, i64, i8, u8, i1 or index.
    shape: a number for each dimension, or the name of a size that each call has.
    packed: whether it is weights in the layout of the kernels, as bytes.
    sources: of packed weights, the tensors of the model that they are made of.
    """

    name: str
    dtype: str
    shape: Tuple[Dim, ...]
    packed: bool = False
    sources: Tuple["Arg", ...] = ()

    @property
    def is_static(self) -> bool:
        """Whether all dimensions are numbers: a weight, unless it is the first argument."""
        return all(isinstance(dim, int) for dim in self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of an argument of static shape."""
        return count(self.shape) * DTYPE_BYTES[self.dtype]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Function:
    """A compiled function, by its name in the model."""

    name: str
    symbol: str
    invoke: str
    variant: str
    code: str  # The symbol of the function whose code it is.
    sizes: Tuple[str, ...]
    arguments: Tuple[Arg, ...]
    results: Tuple[Arg, ...]
    layer: Optional[int] = None
    model: str = ""
    #: Of each packed argument, the object that says how it is packed.
    packing: Dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    #: How weights are made of a checkpoint's tensors, by their names in the model.
    checkpoint: Dict[str, str] = field(default_factory=dict, compare=False, hash=False)
    #: The symbol of the function that names the target for a runtime's device; empty if there is no code for one.
    variant_on: str = ""
    #: The symbol of the plans for packing, if they are not the first target's.
    plans: str = ""
    #: What is other for targets that pack weights in another way, by their names.
    layouts: Dict[str, Dict[str, Any]] = field(default_factory=dict, compare=False, hash=False)

    def for_target(self, name: Optional[str]) -> "Function":
        """The function as the target wants its arguments."""
        return replace(self, **self.layouts[name]) if name in self.layouts else self


@dataclass(frozen=True)
class Manifest:
    path: Path
    id: str
    targets: Tuple[Dict[str, Any], ...]
    functions: Tuple[Function, ...]

    def select(self, function: Union[str, int, None]) -> Function:
        """By its name, by the number of its layer, or the only one."""
        if function is None and len(self.functions) == 1:
            return self.functions[0]
        if isinstance(function, (str, int)) and not isinstance(function, bool):
            for candidate in self.functions:
                if function in (candidate.name, candidate.layer):
                    return candidate
        names = [f.name for f in self.functions]
        shown = ", ".join(names[:16]) + (f", ... ({len(names)} in all)" if len(names) > 16 else "")
        what = "which function? choose one with function=" if function is None else f"no function {function!r}"
        fail(f"{self.path}: {what}; there are: {shown}")


def count(shape: Sequence[Dim]) -> int:
    """How many elements a tensor of static shape has."""
    elements = 1
    for dim in shape:
        assert isinstance(dim, int)
        elements *= dim
    return elements


# -- The id -------------------------------------------------------------------


def _canonical(value: Any) -> str:
    """JSON as LLVM prints it: no spaces, keys in order, 17 digits."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-8", "surrogatepass"))
        return "{" + ",".join(_canonical(key) + ":" + _canonical(value[key]) for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, float):
        return f"{value:.17g}"
    return json.dumps(value, ensure_ascii=False)


def content_id(manifest: Dict[str, Any]) -> str:
    """What `id` has to be: the beginning of a hash of all the rest."""
    rest = {key: value for key, value in manifest.items() if key != "id"}
    return hashlib.sha256(_canonical(rest).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# -- Reading ------------------------------------------------------------------


def _packing_of(value: Any) -> Dict[str, Any]:
    """Of each packed argument, how it is packed."""
    return {a["name"]: a["packed"] for a in value["arguments"] if a.get("packed")}


class _Reader:
    """Values of a JSON object, with their place in messages."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, path: str, message: str) -> NoReturn:
        fail(f"{self.where}: {path}: {message}")

    def get(self, value: Any, path: str, key: str, kind: Any, default: Any = ...) -> Any:
        if not isinstance(value, dict):
            self.fail(path, "expected an object")
        found = value.get(key, default)
        if found is ...:
            self.fail(path, f'lacks "{key}"')
        if found is default:
            return found
        isBad = not isinstance(found, kind) or (kind is int and (isinstance(found, bool) or found < 0))
        if isBad:
            names = {str: "a string", int: "a non-negative integer", list: "a list", dict: "an object"}
            self.fail(f"{path}.{key}", f"expected {names[kind]}")
        return found

    def list(self, value: Any, path: str, key: str, each: Callable[[Any, str], Any]) -> Tuple[Any, ...]:
        base = f"{path}.{key}" if path else key
        items = self.get(value, path, key, list)
        return tuple(each(item, f"{base}[{i}]") for i, item in enumerate(items))

    def dim(self, value: Any, path: str, sizes: Sequence[str]) -> Dim:
        if isinstance(value, str):
            if value not in sizes:
                self.fail(path, f"{value!r} is not one of the function's sizes")
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.fail(path, "expected a non-negative integer")
        return value

    def dtype(self, value: Any, path: str) -> str:
        name: str = self.get(value, path, "dtype", str)
        if name not in DTYPE_BYTES and name not in ("f8E4M3FN", "f8E8M0FNU"):
            self.fail(f"{path}.dtype", f"unknown element type {name!r}")
        return name

    def sources(self, packed: Any, path: str) -> Tuple[Arg, ...]:
        """The tensors of the model that packed weights are made of, each once."""
        found: Dict[str, Arg] = {}

        def add(value: Any, at: str, default: Optional[str]) -> None:
            name = self.get(value, at, "name", str)
            shape = self.list(value, at, "shape", lambda v, p: self.dim(v, p, ()))
            dtype = self.dtype(value, at) if default is None or "dtype" in value else default
            found.setdefault(name, Arg(name, dtype, shape))

        def source(value: Any, at: str) -> None:
            if value.get("storage") if isinstance(value, dict) else False:
                self.list(value, at, "storage", lambda v, p: add(v, p, None))
            else:
                add(value, at, self.dtype(packed, path))

        self.list(packed, path, "sources", source)
        return tuple(found.values())

    def argument(self, value: Any, path: str, sizes: Sequence[str]) -> Arg:
        name = self.get(value, path, "name", str)
        dtype = self.dtype(value, path)
        shape = self.list(value, path, "shape", lambda v, p: self.dim(v, p, sizes))
        packed = self.get(value, path, "packed", dict, None)
        if packed is None:
            return Arg(name, dtype, shape)
        if dtype != "u8" or len(shape) != 1 or not isinstance(shape[0], int):
            self.fail(path, "packed weights that are not bytes of a fixed number")
        return Arg(name, dtype, shape, True, self.sources(packed, f"{path}.packed"))

    def function(self, value: Any, path: str) -> Function:
        name = self.get(value, path, "name", str)
        symbol = self.get(value, path, "symbol", str, name)
        sizes: List[str] = []

        def size(item: Any, at: str) -> str:
            if not isinstance(item, str) or item in sizes:
                self.fail(at, "expected a name that is not there yet")
            sizes.append(item)
            return item

        self.list(value, path, "sizes", size)
        arguments = self.list(value, path, "arguments", lambda v, p: self.argument(v, p, sizes))
        results = self.list(value, path, "results", lambda v, p: self.argument(v, p, sizes))
        for group in (arguments, results):
            names = [item.name for item in group]
            for one in names:
                if names.count(one) > 1:
                    self.fail(path, f"a second {one!r}")
        layouts: Dict[str, Dict[str, Any]] = {}
        for i, layout in enumerate(self.get(value, path, "layouts", list, [])):
            at = f"{path}.layouts[{i}]"
            others = self.list(layout, at, "arguments", lambda v, p: self.argument(v, p, sizes))
            if [(a.name, a.packed) for a in others] != [(a.name, a.packed) for a in arguments]:
                self.fail(f"{at}.arguments", "are not the function's, packed or as they are")
            changed = {"arguments": others, "packing": _packing_of(layout),
                       "plans": self.get(layout, at, "plans", str)}
            for target in self.get(layout, at, "targets", list):
                layouts[str(target)] = changed
        invoke = self.get(value, path, "invoke", str, symbol + "__invoke")
        return Function(name, symbol, invoke, self.get(value, path, "variant", str, ""), symbol, tuple(sizes),
                        arguments, results, self.get(value, path, "layer", int, None),
                        self.get(value, path, "model", str, ""), _packing_of(value),
                        self.get(value, path, "checkpoint", dict, {}),
                        self.get(value, path, "variant_on", str, ""), "", layouts)


def parse(text: str, path: Path) -> Manifest:
    """Parses and checks a manifest; raises an Error that names the key."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail(f"{path}: not a manifest: {error}")
    reader = _Reader(str(path))
    version = reader.get(value, "manifest", "version", int)
    if version != VERSION:
        reader.fail("version", f"{version} is not supported (expected {VERSION}); compile the model again")
    abi = reader.get(value, "manifest", "abi", int, 1)
    if abi != ABI:
        reader.fail("abi", f"the code is for version {abi} of the runtime's interface, and this is version {ABI}; "
                           "compile the model again")
    found = reader.get(value, "manifest", "id", str, "")
    if found != content_id(value):
        fail(f"{path}: its id is not that of its contents; a manifest is not for editing, compile the model again")
    functions = reader.list(value, "", "functions", reader.function)
    byName = {f.name: f for f in functions}
    resolved: List[Function] = []
    for i, (function, raw) in enumerate(zip(functions, value["functions"])):
        alias = reader.get(raw, f"functions[{i}]", "alias_of", str, None)
        if alias is not None:
            if alias not in byName:
                reader.fail(f"functions[{i}].alias_of", f"no function {alias!r}")
            function = Function(**{**function.__dict__, "code": byName[alias].symbol})
        resolved.append(function)
    targets = reader.list(value, "", "targets", lambda v, p: (reader.get(v, p, "name", str), v)[1])
    return Manifest(path, found, targets, tuple(resolved))


#: Those that were read last, by what tells a file from another: layers of a model
#: are loaded one by one, and each of them would read all again.
_known: Dict[Tuple[str, int, int, int, int], Manifest] = {}
_MAX_KNOWN = 16


def read(path: Path) -> Manifest:
    """Reads the manifest `path`."""
    try:
        with open(path, encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            key = (str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            found = _known.get(key)
            if found is not None:
                return found
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}")
    manifest = parse(text, path)
    if len(_known) >= _MAX_KNOWN:
        _known.clear()
    _known[key] = manifest
    return manifest
