# ===- _compile.py - Compiling models -------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""From a configuration, a checkpoint or IR to an artifact."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import _cache, _manifest, _tools
from ._errors import Error, fail
from ._layer import Layer, PathLike, load
from ._progress import Progress
from ._runtime import _check_elf
from ._weights import Weights

#: What keys of the cache are made of; a new number leaves the old entries to age.
_KEY_VERSION = 1

#: What compile() and prepare() take for `activations`.
ACTIVATIONS = ("f32", "bf16", "int8", "int16", "e4m3", "auto")

_IR = re.compile(r"^\s*(module\b|func\.func\b|//|#|!|builtin\.module\b)", re.M)


class Artifact:
    """What compile() made: code for layers, and a manifest that describes it.

    path: BASE.so. BASE.json is the manifest, and BASE.mlir the IR it was made of.
    key: what it is called in the cache: a hash of the IR, the options and the compiler.
    notes: what the tools said beside errors.
    """

    path: Path
    key: str
    notes: Tuple[str, ...]

    def __init__(self, path: Path, key: str = "", notes: Sequence[str] = ()) -> None:
        self.path = path
        self.key = key
        self.notes = tuple(notes)
        self.manifest = _manifest.read(path.with_suffix(".json"))

    @property
    def functions(self) -> Tuple[str, ...]:
        """The names of the layers' functions."""
        return tuple(function.name for function in self.manifest.functions)

    @property
    def layers(self) -> Tuple[int, ...]:
        """The numbers of the layers, where the IR says them."""
        return tuple(f.layer for f in self.manifest.functions if f.layer is not None)

    def load(self, function: Union[str, int, None] = None, *, weights: Union[Weights, PathLike, None] = None,
             threads: Optional[int] = None) -> Layer:
        """The same as moe_mlir.load(artifact, ...)."""
        return load(self.path, function=function, weights=weights, threads=threads)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<moe_mlir.Artifact {self.path}: {len(self.functions)} functions>"


# -- The model ----------------------------------------------------------------


def _layers_flag(layers: Union[str, int, Sequence[int], None]) -> List[str]:
    """--layers, which takes a number, a range or "all"; None is the first MoE layer."""
    if layers is None:
        return []
    if isinstance(layers, (str, int)) and not isinstance(layers, bool):
        return [f"--layers={layers}"]
    try:
        numbers = sorted(int(n) for n in layers)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        fail(f"layers={layers!r}: expected a number, a range such as \"0-7\", \"all\", or numbers without a gap")
    return [f"--layers={numbers[0]}-{numbers[-1]}"]


def _config_of(config: Any) -> Optional[Mapping[str, Any]]:
    """The configuration that a dict or an object of transformers is."""
    if isinstance(config, Mapping):
        return config
    to_dict = getattr(config, "to_dict", None)
    if callable(to_dict):
        value = to_dict()
        # Some classes name their type beside the values.
        return {"model_type": getattr(config, "model_type", None), **value}
    return None


def _json_default(value: Any) -> Any:
    """Types of PyTorch and the like, which configurations may hold, by their names."""
    return str(value).split(".")[-1]


def _import(source: Path, layers: Union[str, int, Sequence[int], None], part: str, weights_type: str,
            family: Optional[PathLike], experts: Optional[int]) -> _tools.Result:
    """The IR of a configuration or a checkpoint."""
    arguments: List[str] = _layers_flag(layers)
    if part != "block":
        _tools.need_option("moe-import", "part", f"part={part!r}")
        arguments.append(f"--part={part}")
    if family is not None:
        _tools.need_option("moe-import", "family", "family=")
        arguments.append(f"--family={os.fspath(family)}")
    if weights_type != "auto":
        arguments.append(f"--weights-type={weights_type}")
    if experts is not None:
        arguments.append(f"--experts={experts}")
    # Which reads no checkpoint is older than --family.
    if source.is_dir() and not _tools.has_option("moe-import", "family"):
        source = source / "config.json"
    return _tools.run("moe-import", [*arguments, source])


def _read_ir(config: Any, **options: Any) -> _tools.Result:
    """The IR of whatever `config` is."""
    value = _config_of(config)
    if value is not None:
        name = re.sub(r"[^\w .+-]", "_", str(value.get("_name_or_path") or "").rstrip("/").split("/")[-1]) or "model"
        with tempfile.TemporaryDirectory(prefix="moe-mlir-") as folder:
            path = Path(folder) / name.lstrip(".") / "config.json"
            path.parent.mkdir(exist_ok=True)
            try:
                path.write_text(json.dumps(value, default=_json_default))
            except (TypeError, ValueError) as error:
                fail(f"the configuration is no JSON: {error}")
            try:
                return _import(path, **options)
            except Error as error:
                # The folder is gone when somebody reads this.
                raise Error(str(error).replace(str(path), "config.json")) from None
    if _is_ir_text(config):
        return _check_ir(config, "the text", options)
    if not isinstance(config, (str, os.PathLike)):
        fail(f"config is a {type(config).__name__}; expected a path, IR text, a dict or a configuration of "
             "transformers")
    path = Path(config).expanduser()
    if not os.fspath(config).strip() or not path.exists():
        fail(f"{path}: no such file or folder; expected config.json, the folder of a checkpoint, a .gguf or .mlir file")
    if path.suffix == ".mlir":
        try:
            return _check_ir(path.read_text(encoding="utf-8"), str(path), options)
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{path}: cannot read: {error}")
    if path.is_dir() and not (path / "config.json").is_file():
        fail(f"{path}: no config.json in this folder")
    return _import(path, **options)


def _is_ir_text(config: Any) -> bool:
    """Whether it is IR itself, and no path."""
    return isinstance(config, str) and ("\n" in config or "func.func" in config)


def _source_of(config: Any) -> Tuple[str, bool]:
    """What messages call `config`, and whether lines of the IR are lines of it."""
    value = _config_of(config)
    if value is not None:
        return str(value.get("_name_or_path") or "") or "the configuration", False
    if _is_ir_text(config):
        return "the IR", True
    return os.fspath(config), os.fspath(config).endswith(".mlir")


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _renamed(message: str, file: Path, config: Any) -> str:
    """A message of the compiler about the IR in `file`, which nobody knows, as one about `config`."""
    source, isIR = _source_of(config)

    def name(match: "re.Match[str]") -> str:
        line, column = match.group(1) or "0", match.group(2)
        if line == "0":  # No place in particular.
            return source
        return f"{source}:{line}:{column}" if isIR else f"{source} (line {line} of its IR)"

    return re.sub(re.escape(str(file)) + r"(?::(\d+):(\d+))?", name, message)


def _check_ir(text: str, where: str, options: Mapping[str, Any]) -> _tools.Result:
    defaults = {"layers": ("all", None), "part": ("block",), "weights_type": ("auto",), "family": (None,),
                "experts": (None,)}
    for name, values in defaults.items():
        if options[name] not in values:
            fail(f"{where}: is IR, which {name}={options[name]!r} does not change")
    if not _IR.search(text):
        fail(f"{where}: neither IR (no module and no func.func) nor the path of a file")
    return _tools.Result(text, [])


# -- The code -----------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def _this_cpu() -> str:
    """What `native` depends on."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    keys = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    lines = {line.split(":")[0].strip(): line for line in text.splitlines()}
    return "\n".join(lines[key] for key in keys if key in lines)


def _is_good(folder: Path) -> bool:
    """Whether an entry of the cache is whole."""
    try:
        _manifest.read(folder / "model.json")
        _check_elf(folder / "model.so")
    except Error:
        return False
    return True


def compile(config: Any, *, layers: Union[str, int, Sequence[int], None] = "all", part: str = "block",
            weights_type: str = "auto", targets: Union[str, Sequence[str], None] = "native",
            activations: Optional[str] = None, record_routing: bool = False, replay_routing: bool = False,
            family: Optional[PathLike] = None, experts: Optional[int] = None, options: Sequence[str] = (),
            cache: bool = True, progress: bool = True) -> Artifact:
    """Compiles the MoE layers of a model.

    config: the path of a config.json, of the folder of a checkpoint, or of a .gguf
        file; a dict or a transformers configuration; IR as text or in a .mlir file.
    layers: a number, a range such as "0-7", "all", or None for the first MoE layer.
    part: "block" for whole layers, "experts" for the experts alone: they take x
        [T, H], a routing and the weights, and have neither router nor shared expert.
    weights_type: "f32", "bf16", a format such as "q4_0"; "auto" is what the checkpoint has.
    targets: names of `moe-compile --list-targets`; "native" is this machine, None the usual ones.
    activations: how rows are rounded where they multiply weights in formats: "f32",
        "bf16", "int8", "int16", "e4m3" (H100's and H200's, with weights in fp8) or "auto".
    record_routing: return the routing behind y.
    replay_routing: take the routing as an argument, and nothing that only the router needs.
    family: a family of checkpoints, or a file that describes one.
    experts: keep only the first so many of each layer.
    options: further ones for moe-compile.
    cache: look for it, and keep it, in the cache; else it is gone with the Artifact.
    progress: say on a terminal what goes on.

    Raises Error with the tool's message.
    """
    if part not in ("block", "experts"):
        fail(f"part={part!r}: expected 'block' or 'experts'")
    if activations is not None and activations not in ACTIVATIONS:
        fail(f"activations={activations!r}: expected one of {', '.join(ACTIVATIONS)}")
    if experts is not None and (isinstance(experts, bool) or not isinstance(experts, int) or experts < 1):
        fail(f"experts={experts!r}: expected a number of at least 1")
    if not (targets is None or isinstance(targets, str) or _is_texts(targets)):
        fail(f"targets={targets!r}: expected a name of moe-compile --list-targets, a list of them, or None")
    if not _is_texts(options):
        fail(f"options={options!r}: expected a list of options of moe-compile")
    result = _read_ir(config, layers=layers, part=part, weights_type=weights_type, family=family, experts=experts)
    names = [targets] if isinstance(targets, str) else list(targets or ())
    flags = [f"--target={','.join(names)}"] if names else []
    flags += [f"--activations={activations}"] if activations else []
    flags += ["--record-routing"] if record_routing else []
    # Without the router's weights, which are packed elsewhere and plain here, the
    # packed weights of the layer with its router fit.
    flags += ["--replay-routing", "--drop-router-arguments"] if replay_routing else []
    flags += options
    key_parts: Dict[str, Any] = {"version": _KEY_VERSION, "ir": result.output, "flags": flags,
                                 "compiler": _tools.identity("moe-compile")}
    if "native" in names:
        key_parts["cpu"] = _this_cpu()
    key = hashlib.sha256(json.dumps(key_parts, sort_keys=True).encode()).hexdigest()

    def fill(folder: Path) -> None:
        # The notes are the importer's, which runs each time, and those of this run.
        (folder / "model.mlir").write_text(result.output, encoding="utf-8")
        with Progress("compiling", enabled=progress) as shown:
            try:
                _tools.run("moe-compile", [folder / "model.mlir", "--emit=shared,manifest", *flags, "-o",
                                           folder / "model"], tick=shown.update)
            except Error as error:
                raise Error(_renamed(str(error), folder / "model.mlir", config)) from None

    if not cache:
        temporary = tempfile.mkdtemp(prefix="moe-mlir-")
        try:
            fill(Path(temporary))
            artifact = Artifact(Path(temporary) / "model.so", key, result.notes)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        weakref.finalize(artifact, shutil.rmtree, temporary, ignore_errors=True)
        return artifact
    folder = _cache.make("artifacts", key, _is_good, {"what": _describe(result.output)}, fill)
    return Artifact(folder / "model.so", key, result.notes)


def _describe(ir: str) -> str:
    """What an entry of the cache is listed as."""
    module = re.search(r"^module (?:attributes \{.*\bmoe\.model = |@)(\"[^\"]*\"|[\w.-]+)", ir, re.M)
    functions = re.findall(r"func\.func (?:public )?@(\"[^\"]*\"|[\w.$-]+)", ir)
    name = module.group(1).strip('"') if module else ""
    shown = ", ".join(functions[:2]) + (f", ... ({len(functions)})" if len(functions) > 2 else "")
    return f"{name}: {shown}" if name else shown
