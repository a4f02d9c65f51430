# ===- _pack.py - Packing checkpoints -------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""From a checkpoint to a file of packed weights."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from . import _cache, _manifest, _safetensors, _tools
from ._compile import Artifact
from ._errors import Error, fail, path_of
from ._layer import PathLike, base_of
from ._manifest import ABI, Function, Manifest
from ._packing import wanted
from ._progress import Progress

#: Of what moe-pack makes of the same plans and files: a new number when that changes.
_LAYOUT_VERSION = f"1-{ABI}"

#: Of a .gguf file, which is hashed so far: the keys and the places of tensors.
_GGUF_HEADER = 1 << 20

_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


def _files(checkpoint: Path) -> List[Path]:
    """The files of a checkpoint that decide what is packed."""
    if checkpoint.is_dir():
        found = [file for file in sorted(checkpoint.iterdir()) if file.suffix in (".safetensors", ".gguf", ".json")]
        if not any(file.suffix != ".json" for file in found):
            fail(f"{checkpoint}: no .safetensors or .gguf file in this folder")
        return found
    part = _PART.fullmatch(checkpoint.name)
    if not part:
        return [checkpoint]
    count = int(part.group(3))
    return [checkpoint.with_name(f"{part.group(1)}-{n:05d}-of-{count:05d}.gguf") for n in range(1, count + 1)]


def _identity(file: Path) -> List[Any]:
    """What tells a file from another one: never its weights."""
    try:
        real = file.resolve(strict=True)
        status = real.stat()
        with open(real, "rb") as source:
            if file.suffix == ".safetensors":
                header = _safetensors.read_header(source, file).raw
            else:
                header = source.read(_GGUF_HEADER)
    except OSError as error:
        fail(f"{file}: cannot read: {error.strerror}")
    return [str(real), status.st_size, status.st_mtime_ns, hashlib.sha256(header).hexdigest()]


def _packed_part(function: Function) -> List[Any]:
    """Of a manifest, what decides which bytes are packed."""
    return [function.name, [[a.name, a.dtype, list(a.shape), function.packing.get(a.name)]
                            for a in function.arguments if a.is_static], function.checkpoint]


def _select(manifest: Manifest, layers: Union[str, int, Sequence[Union[str, int]], None]) -> List[Function]:
    if layers is None or layers == "all":
        return list(manifest.functions)
    chosen = [layers] if isinstance(layers, (str, int)) else list(layers)
    if not chosen:
        fail("layers: expected the number of a layer, the name of a function, or several")
    return [manifest.select(one) for one in chosen]


def _has_own_names(source: Path, functions: Sequence[Function]) -> bool:
    """Whether the tensors have the names of the artifact's, not those of a family."""
    if not any(function.checkpoint for function in functions):
        return True
    with open(source, "rb") as file:
        names = {name.split("/")[-1] for name in _safetensors.read_header(file, source).tensors}
    return any(arg.name in names for function in functions for arg in wanted(function))


def _total(functions: Sequence[Function]) -> int:
    return sum(arg.nbytes for f in functions for arg in f.arguments if arg.is_static)


def pack(artifact: Union[Artifact, PathLike], checkpoint: PathLike, *,
         layers: Union[str, int, Sequence[Union[str, int]], None] = "all", out: Optional[PathLike] = None,
         progress: bool = True, target: Optional[str] = None) -> Path:
    """Packs the weights of a checkpoint for an artifact, once.

    artifact: what compile() returned, or the path of BASE.so.
    checkpoint: the folder of a checkpoint, or a .gguf or .safetensors file, whose
        tensors have the names of their family; or a .safetensors file whose tensors have
        those of the artifact (Layer.model_tensors), "<function>/<name>" or "<name>".
    layers: numbers of layers or names of functions; "all" is all of the artifact.
    out: the file to write. Without it the file is in the cache, and is the same one
        the next time: as long as the files of the checkpoint have their size, time
        and header.
    progress: say on a terminal how far it is.
    target: of the artifact's targets, the one whose layout weights are packed in; the
        first without.

    Returns the .safetensors file for load(..., weights=). Raises Error.
    """
    base = base_of(artifact).with_suffix(".json")
    manifest = _manifest.read(base)
    names = [each["name"] for each in manifest.targets]
    if target is not None and target not in names:
        fail(f"{base}: has no code for {target!r}; there is for {', '.join(names)}")
    functions = [function.for_target(target) for function in _select(manifest, layers)]
    source = path_of(checkpoint, "checkpoint", "the path of a checkpoint's folder, or of a .gguf or .safetensors file")
    if not source.exists():
        fail(f"{source}: no such file or folder; expected a checkpoint's folder, or a .gguf or .safetensors file")
    sources = [_identity(file) for file in _files(source)]
    if source.suffix == ".safetensors" and source.is_file() and _has_own_names(source, functions):
        flags = [f"--inputs={source}"]
    else:
        _tools.need_option("moe-pack", "checkpoint", "packing a checkpoint")
        flags = [f"--checkpoint={source}"]
    if len(functions) != len(manifest.functions):
        flags.append("--entry=" + ",".join(f.name for f in functions))
    if target is not None:
        _tools.need_option("moe-pack", "target", "packing for a target")
        flags.append(f"--target={target}")
    total = _total(functions)
    notes: List[str] = []

    def write(file: Path) -> None:
        folder = file.parent
        try:
            room = shutil.disk_usage(folder).free
        except OSError as error:
            fail(f"{file}: cannot write: {error.strerror}")
        if room < total:
            fail(f"{file}: needs {total} bytes, and there are {room} free in {folder}")
        with Progress("packing", total, enabled=progress) as shown:

            def tick() -> None:
                # The file has this beginning until it is complete.
                sizes = [_size(part) for part in folder.glob(file.name + ".*")]
                shown.update(min(max(sizes, default=0), total))

            result = _tools.run("moe-pack", [base, *flags, "-o", file], tick=tick)
        notes.extend(result.notes)

    if out is not None:
        file = path_of(out, "out", "the path of a .safetensors file")
        if file.suffix != ".safetensors":
            fail(f"{file}: expected the name of a .safetensors file")
        write(file)
        _tell(notes)
        return file
    parts: Dict[str, Any] = {
        "version": _LAYOUT_VERSION,
        # One function alone has plain names in the file.
        "functions": [_packed_part(f) for f in functions],
        "prefixed": len(manifest.functions) != 1,
        "sources": sources,
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    what = f"{source.name}: {', '.join(f.name for f in functions[:2])}" + \
        (f", ... ({len(functions)})" if len(functions) > 2 else "")
    folder = _cache.make("packed", key, _is_good, {"what": what}, lambda path: write(path / "packed.safetensors"))
    _tell(notes)
    return folder / "packed.safetensors"


def _tell(notes: Sequence[str]) -> None:
    """What moe-pack said, such as tensors of the checkpoint that no layer reads."""
    for note in notes:
        warnings.warn(note, stacklevel=3)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _is_good(folder: Path) -> bool:
    """Whether a packed file is whole, by its header."""
    path = folder / "packed.safetensors"
    try:
        with open(path, "rb") as file:
            _safetensors.read_header(file, path)
    except (OSError, Error):
        return False
    return True
