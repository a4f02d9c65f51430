#!/usr/bin/env python3
# ===- whole.py - A whole decoder beside ONNX Runtime ----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Times a whole decoder, compiled from ONNX, beside ONNX Runtime on the same file.

The model is written by model.py, with weights from a seed: its embedding, norms,
attention, projections and MoE layers. Both run in one process, in turns, with the
same tokens and threads; a repeat has new tokens. Results are compared in every
repeat.

    whole.py --experts=0                     # what is around the MoE layers
    whole.py --calls=1x512,1x0,512x0         # new tokens x earlier positions
    whole.py --layers=1 --bin=build/bin

Needs the packages onnx and onnxruntime, and says so and does nothing without.
The tools are taken from --bin, the PATH or build/bin.
"""

import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Threads that wait for work would take the cores of the other side.
for variable, value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0")):
    os.environ.setdefault(variable, value)

import numpy as np

try:
    import onnxruntime

    import model
except ImportError as error:
    print(f"skipped: {error}; pip install onnx onnxruntime")
    sys.exit(0)

DTYPES = {"f32": np.float32, "i64": np.int64, "i8": np.uint8}


def tool(folder, name, *arguments):
    default = Path(__file__).resolve().parents[2] / "build/bin"
    path = Path(folder or default) / name
    path = path if path.exists() else shutil.which(name)
    subprocess.run([str(path), *map(str, arguments)], check=True)


def aligned(shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    block = np.zeros(size + 64, np.uint8)
    begin = -block.ctypes.data % 64
    return block[begin:begin + size].view(dtype).reshape(shape)


class Ours:
    name = "ours"

    def __init__(self, path, options):
        base = path.with_suffix("")
        tool(options.bin, "moe-raise", path, "-o", base.with_suffix(".mlir"))
        tool(options.bin, "moe-compile", base.with_suffix(".mlir"), "--target=native", "--emit=shared,manifest",
             *options.compile, "-o", base)
        tool(options.bin, "moe-pack", base.with_suffix(".json"), f"--inputs={base}.safetensors", "-o",
             f"{base}.packed.safetensors")
        base.with_suffix(".safetensors").unlink()
        self.function = json.loads(base.with_suffix(".json").read_text())["functions"][0]
        self.packed = self.read(Path(f"{base}.packed.safetensors"))
        self.library = ctypes.CDLL(str(base.with_suffix(".so")))
        name = self.function["invoke"]
        self.invoke = self.library[name]
        self.workspace_bytes = self.library[name + "_workspace"]
        self.workspace_bytes.restype = ctypes.c_size_t
        self.workspace = aligned((0,), np.uint8)

    @staticmethod
    def read(path):
        """The tensors of a safetensors file, read and not mapped, as ONNX Runtime has its own."""
        arrays = {}
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                arrays[name] = aligned((end - begin,), np.uint8)
                file.seek(8 + length + begin)
                file.readinto(arrays[name])
        path.unlink()
        return arrays

    def prepare(self, inputs):
        ids = inputs["input_ids"]
        sizes = {"S": ids.shape[1], "P": inputs["past_keys.0"].shape[2]}
        own = (ctypes.c_int64 * len(self.function["sizes"]))(*[sizes[n] for n in self.function["sizes"]])
        size = self.workspace_bytes(own)
        if self.workspace.size < size:
            self.workspace = aligned((size,), np.uint8)
        results = {r["name"]: aligned([sizes.get(n, n) for n in r["shape"]], DTYPES[r["dtype"]])
                   for r in self.function["results"]}
        arrays = [inputs[a["name"]] if a["name"] in inputs else self.packed[a["name"]]
                  for a in self.function["arguments"]] + list(results.values())
        buffers = (ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])

        def run():
            if self.invoke(None, own, buffers, ctypes.c_void_p(self.workspace.ctypes.data), ctypes.c_size_t(size)):
                raise RuntimeError("the compiled model failed")
            return results
        return run


class Theirs:
    name = "onnxruntime"

    def __init__(self, path, options):
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = options.threads
        session.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(str(path), session, providers=["CPUExecutionProvider"])
        self.names = [r.name for r in self.session.get_outputs()]

    def prepare(self, inputs):
        own = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in inputs.items()}

        def run():
            return dict(zip(self.names, self.session.run_with_ort_values(None, own)))
        return run


def make_inputs(spec, tokens, before, random):
    inputs = {"input_ids": random.integers(0, spec.vocabulary, (1, tokens))}
    for layer in range(spec.layers):
        for kind in ("keys", "values"):
            inputs[f"past_{kind}.{layer}"] = random.standard_normal(
                (1, spec.kv_heads, before, spec.head), dtype=np.float32)
    return inputs


def difference(ours, theirs):
    """The largest by the largest, over all results."""
    worst = 0.0
    for name, value in ours.items():
        other = theirs[name].numpy()
        worst = max(worst, float(np.abs(value - other).max() / np.abs(other).max()))
    return worst


def measure(sides, spec, tokens, before, options):
    times = {side.name: [] for side in sides}
    worst, random = 0.0, np.random.default_rng(options.seed)
    for repeat in range(options.repeats + 1):
        inputs, results = make_inputs(spec, tokens, before, random), {}
        for side in sides:
            run = side.prepare(inputs)
            run()  # What is made once for such sizes.
            begin = time.perf_counter()
            results[side.name] = run()
            times[side.name].append(time.perf_counter() - begin)
        if len(sides) == 2:
            worst = max(worst, difference(results["ours"], results["onnxruntime"]))
            if worst > 1e-3:
                raise SystemExit(f"results differ: {worst:.2g} of the largest value")
    return {name: statistics.median(values[1:]) * 1e3 for name, values in times.items()}, worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model.add_arguments(parser)
    parser.add_argument("--calls", default="512x0,64x0,1x512", help="new tokens x earlier positions, ...")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bin", help="where the tools are")
    parser.add_argument("--compile", action="append", default=[], help="an option of moe-compile")
    parser.add_argument("--only", choices=["ours", "onnxruntime"], help="where memory is for one side alone")
    parser.add_argument("--json", help="write the figures there, too")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    spec, rows = model.read_spec(options), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        model.write(spec, path)
        kinds = [kind for kind in (Theirs, Ours) if options.only in (None, kind.name)]
        sides = [kind(path, options) for kind in kinds]
        print(f"{'S':>5} {'P':>5} " + " ".join(f"{s.name + ', ms':>16}" for s in sides) + "   ratio  difference")
        for call in options.calls.split(","):
            tokens, before = map(int, call.split("x"))
            times, worst = measure(sides, spec, tokens, before, options)
            rows.append({"tokens": tokens, "before": before, "ms": times, "difference": worst})
            ratio = times["ours"] / times["onnxruntime"] if len(times) == 2 else float("nan")
            print(f"{tokens:5} {before:5} " + " ".join(f"{t:16.2f}" for t in times.values())
                  + f" {ratio:7.2f}  {worst:.1e}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"onnxruntime": onnxruntime.__version__, "threads": options.threads,
                                                  "model": vars(spec), "calls": rows}, indent=1))


if __name__ == "__main__":
    main()
