# ===- __main__.py - The command line -------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""python -m moe_mlir: what the package does, from a shell."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple

import numpy as np

from . import DeviceArray, DeviceLayer, Error, Layer, Routing, __version__, _cache, _tools
from ._arrays import numpy_kind
from ._compile import compile as compile_model
from ._errors import fail
from ._layer import base_of, load
from ._manifest import Arg, read
from ._pack import pack
from ._runtime import _own_runtime


class _Parser(argparse.ArgumentParser):
    """Errors are one line, and the status 1, as of the other tools."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"{self.prog}: error: {message} (--help shows what there is)\n")


def _size(nbytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.4g} TB"


# -- info ---------------------------------------------------------------------


def _info(args: argparse.Namespace) -> None:
    if args.artifact is None:
        print(f"moe_mlir {__version__}, Python {sys.version.split()[0]}, NumPy {np.__version__}")
        print(f"runtime: {_own_runtime() or 'the one that an artifact was linked with'}")
        for name in ("moe-import", "moe-compile", "moe-pack"):
            try:
                print(f"{name}: {_tools.find(name)}")
            except Error:
                print(f"{name}: not found")
        entries = _cache.entries()
        print(f"cache: {_cache.root()}: {len(entries)} entries, {_size(sum(e.nbytes for e in entries))} of at most "
              f"{_size(_cache.limit())}")
        return
    manifest = read(base_of(args.artifact).with_suffix(".json"))
    print(f"{manifest.path}: id {manifest.id}")
    layer: Optional[Layer] = None
    for function in manifest.functions:
        layer = load(args.artifact, function=function.name)
        print(f"{function.name}" + (f" (layer {function.layer} of {function.model})" if function.layer is not None
                                    else ""))
        for arg in function.arguments:
            print(f"  takes   {arg}" + (" (packed)" if arg.packed else ""))
        for arg in function.results:
            print(f"  returns {arg}")
        if len(function.sizes) == 1:
            figures = ", ".join(f"{_size(layer.workspace_bytes(n))} for {n}" for n in (1, 128, 4096))
            print(f"  workspace, by {function.sizes[0]}: {figures}")
    if layer is not None:
        print(f"targets: {', '.join(layer.targets)}; here runs: {layer.variant or 'none of them'}")


# -- compile, pack ------------------------------------------------------------


def _copy(source: Path, target: Path) -> None:
    """Under its name when it is complete."""
    try:
        handle, partial = tempfile.mkstemp(prefix=target.name + ".", suffix=".moe-partial", dir=target.parent)
        os.close(handle)
        try:
            shutil.copyfile(source, partial)
            shutil.copymode(source, partial)
            os.replace(partial, target)
        except BaseException:
            os.unlink(partial)
            raise
    except OSError as error:
        fail(f"{target}: cannot write: {error.strerror}")


def _compile(args: argparse.Namespace) -> None:
    artifact = compile_model(
        args.config, layers=args.layers, part=args.part, weights_type=args.weights_type,
        targets=None if args.targets == "usual" else args.targets.split(","), activations=args.activations,
        record_routing=args.record_routing, replay_routing=args.replay_routing, family=args.family,
        experts=args.experts, cache=not args.no_cache or args.output is None)
    for note in artifact.notes:
        print(note, file=sys.stderr)
    if args.output is None:
        print(artifact.path)
        return
    base = Path(args.output)
    if not base.name:
        fail(f"-o {args.output}: expected the base name of two files, such as model for model.so and model.json")
    for suffix in (".so", ".json"):
        _copy(artifact.path.with_suffix(suffix), base.with_name(base.name + suffix))
    print(base.with_name(base.name + ".so"))


def _names(text: str) -> Any:
    """Numbers of layers or names of functions, as --layers has them."""
    if text == "all":
        return text
    found: List[Any] = []
    for one in text.split(","):
        first, dash, last = one.partition("-")
        if dash and first.isdigit() and last.isdigit():
            found += range(int(first), int(last) + 1)
        else:
            found.append(int(one) if one.isdigit() else one)
    return found


def _pack(args: argparse.Namespace) -> None:
    print(pack(args.artifact, args.checkpoint, layers=_names(args.layers), out=args.output))


# -- run ----------------------------------------------------------------------


def _read_arrays(path: str, first: str) -> Dict[str, Any]:
    """Arrays by name: all of a .npz, or the first argument of a .npy."""
    try:
        value = np.load(path, allow_pickle=False)
        return {name: value[name] for name in value.files} if hasattr(value, "files") else {first: value}
    except (OSError, ValueError) as error:
        fail(f"{path}: cannot read: {error}; expected a .npy or .npz file")


def _random(arg: Arg, shape: Tuple[int, ...], rng: np.random.Generator) -> Any:
    values = rng.standard_normal(shape)
    if arg.dtype == "bf16":
        bits = values.astype(np.float32).view(np.uint32) >> 16
        return bits.astype(np.uint16).view(numpy_kind().dtypes["bf16"])
    if arg.dtype not in ("f32", "f64", "f16"):
        fail(f"{arg.name}: has {arg.dtype}, which --random does not make up; give it with --inputs")
    return values.astype(numpy_kind().dtypes[arg.dtype])


def _make_inputs(layer: Layer, args: argparse.Namespace) -> Tuple[Any, Any, Dict[str, Any]]:
    """x, the routing, and what is given by name."""
    given = _read_arrays(args.inputs, layer._x_arg.name) if args.inputs else {}
    unknown = [name for name in given if name not in [a.name for a in layer.arguments]]
    if unknown:
        fail(f"{args.inputs}: {layer.name} has no argument {unknown[0]!r}")
    rng = np.random.default_rng(args.random)
    experts = max((p.get("experts", 1) for p in layer._function.packing.values()), default=1)
    for arg in layer.arguments:
        if arg.name in given or arg.packed or arg.name in layer._binding.addresses:
            continue
        shape = tuple(args.tokens if isinstance(dim, str) else dim for dim in arg.shape)
        if arg.name.startswith("routing.indices"):
            given[arg.name] = np.argsort(rng.random((shape[0], experts)))[:, :shape[1]].astype(np.int32)
        elif arg.name.startswith("routing.weights"):
            given[arg.name] = np.full(shape, 1 / max(shape[1], 1), np.float32)
        else:
            given[arg.name] = _random(arg, shape, rng)
    routings = [Routing(given.pop(i), given.pop(w)) for i, w in layer._routings]
    routing = routings[0] if len(routings) == 1 else routings or None
    return given.pop(layer._x_arg.name), routing, given


def _to_device(layer: DeviceLayer, x: Any, routing: Any, inputs: Dict[str, Any]) -> Tuple[Any, Any, Dict[str, Any]]:
    """The arguments of a call as its device has them."""
    def move(given: Any) -> Any:
        return None if given is None else Routing(layer.to_device(given.indices), layer.to_device(given.weights))

    routings = [move(one) for one in routing] if type(routing) is list else move(routing)
    return layer.to_device(x), routings, {name: layer.to_device(array) for name, array in inputs.items()}


def _to_host(y: Any) -> Tuple[Any, ...]:
    """Results as NumPy arrays."""
    values = y if isinstance(y, tuple) else (y,)
    return tuple(value.numpy() if isinstance(value, DeviceArray) else value for value in values)


def _run(args: argparse.Namespace) -> None:
    function = int(args.function) if args.function and args.function.isdigit() else args.function
    layer = load(args.artifact, function=function, weights=args.weights, threads=args.threads, device=args.device)
    x, routing, inputs = _make_inputs(layer, args)
    if isinstance(layer, DeviceLayer):
        x, routing, inputs = _to_device(layer, x, routing, inputs)
    y = layer(x, routing=routing, **inputs)
    times = []
    for _ in range(args.repeat):
        begin = time.perf_counter()
        last = layer(x, routing=routing, **inputs)
        if isinstance(layer, DeviceLayer):
            _to_host(last)
        times.append(time.perf_counter() - begin)
    values = _to_host(y)
    for arg, value in zip(layer.results, values):
        shape = list(getattr(value, "shape", ()))
        print(f"{arg.name}: {arg.dtype}{shape}" if shape else f"{arg.name}")
    if times:
        print(f"{layer.variant}: {1e6 * sorted(times)[len(times) // 2]:.1f} us (median of {len(times)} calls)")
    if args.output:
        try:
            np.save(args.output, np.asarray(values[0]))
        except OSError as error:
            fail(f"{args.output}: cannot write: {error.strerror}")


# -- cache --------------------------------------------------------------------


def _manage_cache(args: argparse.Namespace) -> None:
    if args.action == "list":
        for entry in _cache.entries():
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
            print(f"{entry.kind[:-1] if entry.kind == 'artifacts' else entry.kind:9} {entry.key[:12]} "
                  f"{_size(entry.nbytes):>9} {used}  {entry.what}")
        return
    most = _cache.parse_size(args.limit) if args.action == "prune" and args.limit else None
    gone = _cache.clear() if args.action == "clear" else _cache.prune(most)
    print(f"{_cache.root()}: removed {len(gone)} entries, {_size(sum(e.nbytes for e in gone))}")


# -- The command line ---------------------------------------------------------


def _number(text: str) -> int:
    value = int(text)
    if value < 0:  # argparse says which option it was.
        raise ValueError
    return value


_number.__name__ = "number"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m moe_mlir", description="Compiles, packs, runs and describes Mixture-of-Experts "
                     "layers. The tools of the project are found by MOE_MLIR_BIN or PATH.")
    parser.add_argument("--version", action="version", version=f"moe_mlir {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    info = commands.add_parser("info", help="what an artifact contains, or what this installation has")
    info.add_argument("artifact", nargs="?", help="BASE.so, beside BASE.json; without it, the installation")
    info.set_defaults(run=_info)

    make = commands.add_parser("compile", help="compile the layers of a model; prints the path of the library")
    make.add_argument("config", help="config.json, the folder of a checkpoint, a .gguf or a .mlir file")
    make.add_argument("-o", dest="output", metavar="BASE", help="write BASE.so and BASE.json (default: in the cache)")
    make.add_argument("--layers", default="all", help="3, 0-7 or all (default: all)")
    make.add_argument("--part", choices=("block", "experts"), default="block",
                      help="whole layers, or the experts alone, which take a routing (default: block)")
    make.add_argument("--weights-type", default="auto", metavar="TYPE",
                      help="f32, bf16 or a format such as q4_0 (default: as the checkpoint has them)")
    make.add_argument("--targets", default="native", metavar="NAME,...",
                      help="chips as moe-compile --list-targets names them, or usual (default: native)")
    make.add_argument("--activations", metavar="TYPE", help="how rows are rounded beside weights in formats")
    make.add_argument("--family", metavar="NAME|FILE", help="the family of the checkpoint")
    make.add_argument("--experts", type=_number, metavar="N", help="keep only the first N experts")
    make.add_argument("--record-routing", action="store_true", help="return the routing, too")
    make.add_argument("--replay-routing", action="store_true", help="take the routing as an argument")
    make.add_argument("--no-cache", action="store_true", help="with -o: neither look into the cache nor keep anything")
    make.set_defaults(run=_compile)

    packer = commands.add_parser("pack", help="pack the weights of a checkpoint; prints the path of the file")
    packer.add_argument("artifact", help="BASE.so, beside BASE.json")
    packer.add_argument("checkpoint", help="the folder of a checkpoint, or a .gguf or .safetensors file")
    packer.add_argument("-o", dest="output", metavar="FILE.safetensors",
                        help="the file to write (default: in the cache)")
    packer.add_argument("--layers", default="all", help="numbers of layers or names of functions (default: all)")
    packer.set_defaults(run=_pack)

    runner = commands.add_parser("run", help="call a layer")
    runner.add_argument("artifact", help="BASE.so, beside BASE.json")
    runner.add_argument("--weights", metavar="FILE.safetensors", help="packed weights")
    runner.add_argument("--function", help="its name, or the number of its layer")
    runner.add_argument("--inputs", metavar="FILE", help="x as .npy, or arguments by name as .npz")
    runner.add_argument("--random", type=_number, default=0, metavar="SEED", help="makes up the others (default: 0)")
    runner.add_argument("--tokens", type=_number, default=1, metavar="N", help="how many are made up (default: 1)")
    runner.add_argument("--threads", type=_number, metavar="N", help="at most so many (default: one for each CPU)")
    runner.add_argument("--device", metavar="NAME", help="cpu, cuda, hip or vulkan, and :N for that of number N "
                        "(default: the first that there is code for)")
    runner.add_argument("--repeat", type=_number, default=0, metavar="N", help="time N more calls")
    runner.add_argument("-o", dest="output", metavar="Y.npy", help="write the first result")
    runner.set_defaults(run=_run)

    cache = commands.add_parser("cache", help="what was compiled and packed")
    cache.add_argument("action", choices=("list", "prune", "clear"))
    cache.add_argument("--limit", metavar="SIZE", help="prune: to at most so much, such as 20GB "
                       "(default: $MOE_MLIR_CACHE_LIMIT or 50GB)")
    cache.set_defaults(run=_manage_cache)
    return parser


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs one command; returns the exit status."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except Error as error:
        # Options have other names here.
        said = str(error).replace("choose one with function=;", "choose one with --function;")
        print(f"python -m moe_mlir: error: {said}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever reads has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
