# moe-lower-to-linalg: what it writes is upstream's, and computes the same.
#
# The results of the reference's tests, and of layers with all that bodies and
# routings may have, before and after. Constants of activations are f32 when
# they are written out, which is what the tolerance is for.
#
# REQUIRES: python-numpy
# RUN: %python %s %t

import glob
import json
import os
import re
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
reference = os.path.join(here, "..", "Reference")
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
forms = ["sorted", "dense", "gathered"]
tolerance = "--tolerance=1e-6"
failures = []


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        failures.append(" ".join(command) + "\n" + result.stdout[-1500:])
    return result.returncode == 0


def lower(source, form):
    name = os.path.splitext(os.path.basename(source))[0]
    path = os.path.join(folder, "%s.%s.mlir" % (name, form))
    if not run("moe-opt", source, "--moe-lower-to-linalg=form=" + form, "-o", path):
        return None
    # Upstream's tool knows no dialect of this project.
    run("mlir-opt", path, "-o", os.devnull)
    return path


def check_reference(source):
    """The results that the reference's tests expect."""
    calls = re.findall(r": moe-interpret %s (--inputs=\S+ --expect=\S+)", open(source).read())
    for form in forms:
        lowered = lower(source, form)
        for call in calls if lowered else []:
            arguments = call.replace("%S", reference).split()
            run("moe-interpret", lowered, *arguments, tolerance)
    return len(calls)


def save(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        kind = {"float32": "F32", "int32": "I32", "uint16": "BF16"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += np.ascontiguousarray(array).tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def make_inputs(signature, tokens, kind, seed):
    """Arguments by their types; `kind` says what is wrong with the scores."""
    random = np.random.default_rng(seed)
    tensors = {}
    types = re.findall(r"%\w+: tensor<([^>]*)>([^,)]*moe.name = \"[\w.]+\")?", signature)
    for number, (text, name) in enumerate(types):
        *sizes, element = text.split("x")
        shape = [tokens if size == "?" else int(size) for size in sizes]
        if name:
            # Experts of the tokens: different ones, and unused slots.
            array = np.array([random.permutation(4)[:2] for _ in range(tokens)], np.int32)
            array = array.reshape(shape)
            array[random.random(shape) < 0.3] = -1
        elif element == "i32":
            array = random.integers(0, 5, shape).astype(np.int32)
            if kind == "equal":
                array[:] = 1
        else:
            array = random.normal(size=shape).astype(np.float32)
            # The second argument has the scores.
            if number == 1 and kind == "equal":
                array[:] = 0.5
            if number == 1 and kind == "ties":
                array = np.round(array)
            if number == 1 and kind == "nan" and len(shape) == 2:
                array[random.random(shape) < 0.3] = np.nan
                array[random.random(shape) < 0.1] = -np.inf
            if element == "bf16":
                array = (array.view(np.uint32) >> 16).astype(np.uint16)
        tensors[re.search(r'"(.*)"', name).group(1) if name else "arg%d" % number] = array
    return tensors


def check_layers(source, forms):
    text = open(source).read()
    lowered = [lower(source, form) for form in forms]
    for entry, signature in re.findall(r"func\.func @(\w+)\((.*?)\)\s*->", text, re.S):
        for tokens, kind in [(0, ""), (1, ""), (1, "equal"), (9, ""), (9, "equal"), (7, "ties"),
                             (33, "nan")]:
            stem = os.path.join(folder, "%s.%d%s" % (entry, tokens, kind))
            save(stem + ".in.safetensors", make_inputs(signature, tokens, kind, tokens + 5))
            arguments = ["--entry=" + entry, "--inputs=%s.in.safetensors" % stem]
            run("moe-interpret", source, *arguments, "-o", stem + ".out.safetensors")
            for path in lowered:
                run("moe-interpret", path, *arguments, "--expect=%s.out.safetensors" % stem,
                    tolerance)


# Other formats than plain numbers have no form upstream.
sources = [path for path in sorted(glob.glob(os.path.join(reference, "*.mlir")))
           if "--inputs=%S" in open(path).read() and "moe.dequantize" not in open(path).read()]
with ThreadPoolExecutor(2) as pool:
    counts = list(pool.map(check_reference, sources))
# The list of reference tests is not empty because a name changed.
if sum(counts) < 60:
    failures.append("only %d results of the reference's tests" % sum(counts))
check_layers(os.path.join(here, "Inputs", "back_out.mlir"), forms)
check_layers(os.path.join(here, "Inputs", "back_out_sorted.mlir"), forms[:1])
print("\n".join(failures) or "ok")
sys.exit(bool(failures))
