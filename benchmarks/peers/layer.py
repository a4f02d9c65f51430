# ===- layer.py - A layer of a suite, compiled, and its weights ------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""A layer of a suite: compiled by us, with random weights that every peer gets."""

import json
import math
import os
import re
import shutil
import subprocess
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from peer import aligned, read_tensors

ROOT = Path(__file__).resolve().parents[2]

DTYPES = {"f32": np.float32, "bf16": np.uint16, "f16": np.float16, "i8": np.int8, "u8": np.uint8}

# What a model has without being quantised.
FLOATS = ("f32", "bf16")

# What a suite leaves out of the description of a layer.
DEFAULTS = {"renormalise": False, "scale": 1.0, "groups": 1, "kept_groups": 1, "router_bias": False,
            "correction_bias": False, "expert_bias": False, "activation": "silu", "shared_intermediate": 0}


class Failure(Exception):
    """What ends a run, with the message for its user."""


def tool(name, *arguments):
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / "build/bin")]))
    if not path:
        raise Failure(f"{name} is neither in the PATH nor in build/bin: build the project first")
    result = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        raise Failure(result.stderr.strip() or f"{name} failed with status {result.returncode}")


def read_suite(name):
    path = Path(name) if name.endswith(".json") else ROOT / f"benchmarks/suites/{name}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise Failure(f"{path}: {error}") from None


def to_bf16(values):
    """Rounded to nearest even, as the upper halves of f32 in uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@dataclass
class Layer:
    name: str
    format: str
    spec: SimpleNamespace
    library: Path
    packed: Path
    function: dict  # its part of the manifest
    weights: dict = field(default_factory=dict)
    cache: dict = field(default_factory=dict)  # what several peers share

    def __getitem__(self, name):
        return self.weights[name]

    def get(self, name):
        return self.weights.get(name)

    @property
    def expert_bytes(self):
        return sum(w.nbytes for n, w in self.weights.items() if n.startswith(("experts.gate_up", "experts.down_proj")))


def model_tensors(function, stored):
    """Name, shape and type of the tensors of the model, packed or not. Weights in
    a format are their values, or with `stored` what they are stored in."""
    found = {}
    for argument in function["arguments"]:
        if argument["name"] == "x":
            continue
        for source in argument.get("packed", {}).get("sources", [argument]):
            for tensor in source.get("storage", [source]) if stored else [source]:
                found[tensor["name"]] = (tensor["shape"], tensor["dtype"])
    return found


def allocate(tensors):
    """Arrays for them. Gate and up are views of one array of [E, 2 I, ...], which
    is how most peers want them."""
    arrays = {}
    for name, (shape, dtype) in tensors.items():
        if name.startswith("experts.gate_proj"):
            suffix, (experts, inner, *rest) = name.removeprefix("experts.gate_proj"), shape
            both = arrays["experts.gate_up" + suffix] = aligned((experts, 2 * inner, *rest), DTYPES[dtype])
            arrays[name], arrays["experts.up_proj" + suffix] = both[:, :inner], both[:, inner:]
    for name, (shape, dtype) in tensors.items():
        if name not in arrays:
            arrays[name] = aligned(shape, DTYPES[dtype])
    return arrays


def random_weights(tensors, seed):
    """Scaled such that activations stay of order one."""
    weights = allocate(tensors)
    for name, (shape, dtype) in tensors.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        width = math.sqrt(3 / shape[-1])
        if name.startswith("router."):
            width *= 3
        if "bias" in name:
            width = 0.1
        # By expert: no second copy of all of them.
        for part in weights[name] if len(shape) == 3 else [weights[name]]:
            values = rng.random(part.shape, np.float32)
            values *= 2 * width
            values -= width
            part[...] = to_bf16(values) if dtype == "bf16" else values
    return weights


def save_weights(path, tensors, weights):
    names = {"f32": "F32", "bf16": "BF16"}
    header, end = {}, 0
    for name, (shape, dtype) in tensors.items():
        begin, end = end, end + weights[name].nbytes
        header[name] = {"dtype": names[dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in tensors:
            for part in weights[name]:
                part.tofile(file)


def build(model, weights_type, activations, folder, seed):
    """Imports, quantises, compiles and packs a model of a suite into `folder`."""
    spec = SimpleNamespace(**{**DEFAULTS, **model["baseline"]})
    base = folder / re.sub(r"\W+", "_", f"{model['name']}-{weights_type}")
    config = json.loads((ROOT / f"examples/models/{model['config']}.json").read_text())
    base.with_suffix(".config.json").write_text(json.dumps({**config, **model.get("changes", {})}))

    def import_as(weights_type):
        options = [f"--experts={model['experts']}"] if "experts" in model else []
        tool("moe-import", *options, f"--weights-type={weights_type}", base.with_suffix(".config.json"),
             "-o", base.with_suffix(".mlir"))

    import_as(weights_type)
    tool("moe-compile", base.with_suffix(".mlir"), f"--activations={activations}", "--emit=shared,manifest", "-o", base)
    manifest, inputs = base.with_suffix(".json"), base.with_suffix(".safetensors")
    layer = Layer(model["name"], weights_type, spec, base.with_suffix(".so"), base.with_suffix(".packed"),
                  json.loads(manifest.read_text())["functions"][0])

    tensors = model_tensors(layer.function, stored=False)
    layer.weights = random_weights(tensors, seed)
    save_weights(inputs, tensors, layer.weights)
    if weights_type not in FLOATS:
        tensors = model_tensors(layer.function, stored=True)
        layer.weights = allocate(tensors)
        import_as("f32")
        quantised = base.with_name(base.name + "-quantised")
        tool("moe-quantize", base.with_suffix(".mlir"), f"--inputs={inputs}", f"--to={weights_type}", "-o", quantised)
        inputs.unlink()
        inputs = quantised.with_suffix(".safetensors")
        read_tensors(inputs, {n: layer.weights[n] for n in tensors})
    tool("moe-pack", manifest, f"--inputs={inputs}", "-o", layer.packed)
    inputs.unlink()
    return layer
