#!/usr/bin/env python3
# ===- replay.py - Small layers on a device, beside the interpreter --------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Calls the layers of a folder that cases.py made, for the targets of a device, and
compares with the results beside them. All bytes of results and of the workspace are
NaN before, and the second of two calls has to have the same bits. Needs NumPy alone.

    replay.py FOLDER [--device=cuda|vulkan] [--library=LIBMOE_RT] [NAME...]
"""

import argparse
import ctypes
import json
import sys
from pathlib import Path

import numpy as np

from artifact import Artifact, Device, DeviceError, tensors_of
from report import Failure
from tensors import read_tensors

POISON = b"\xff"
# Of the root mean square of a result's row, by whether rows are rounded to bf16: five roundings, of
# which the largest of ten thousand is six times the mean, and twice that. In f32, what
# weights of 16 bits and sums of other orders come to.
BOUNDS = {True: 12 * 0.0025, False: 1e-4}
WIDTHS = {"f32": 4, "bf16": 2, "f16": 2, "i32": 4, "u8": 1}


class Case:
    def __init__(self, device, folder, name):
        self.device, self.name, self.common = device, name, folder.parent
        manifest = json.loads((folder / f"{name}.json").read_text())
        self.bound = BOUNDS[manifest["targets"][0].get("narrows_rows", False)]
        function, = manifest["functions"]
        self.artifact = Artifact(device, folder, name, function)
        self.function, self.buffers = function, []
        own = folder / f"{name}.weights"
        packed = read_tensors(own if own.exists() else self.common / f"{name}.weights")
        self.weights = {}
        for tensor in function["arguments"]:
            found = [v for n, v in packed.items() if n.split("/")[-1] == tensor["name"]]
            if found:
                self.weights[tensor["name"]] = self.upload(found[0].tobytes())

    def upload(self, data):
        address = self.device.allocate(max(len(data), 16))
        self.buffers.append(address)
        if data:
            self.device.write(address, data)
        return address

    def run(self, tokens):
        """By how much the results are off, or that they differ between calls."""
        given = read_tensors(self.common / f"{self.name}.{tokens}.inputs")
        wanted = read_tensors(self.common / f"{self.name}.{tokens}.results")
        addresses = dict(self.weights)
        for name, values in given.items():
            addresses[name] = self.upload(values.tobytes())
        results, bits = self.function["results"], []
        sizes = {t["name"]: int(np.prod([tokens if n == "T" else n for n in t["shape"]])) * WIDTHS[t["dtype"]]
                 for t in results}
        for name, size in sizes.items():
            addresses[name] = self.upload(POISON * size)
        bytes_ = self.artifact.workspace_bytes(tokens)
        workspace = self.upload(POISON * bytes_)
        for _ in range(2):
            for name, size in sizes.items():
                self.device.write(addresses[name], POISON * size)
            self.device.write(workspace, POISON * bytes_)
            self.artifact.call(tokens, addresses, workspace, bytes_)
            self.device.synchronize()
            bits.append({name: self.device.read(addresses[name], size) for name, size in sizes.items()})
        if bits[0] != bits[1]:
            return float("inf")
        worst = 0.0
        for tensor in results:
            if tensor["dtype"] != "f32":
                continue
            expected = wanted[tensor["name"]].astype(np.float64)
            found = np.frombuffer(bits[0][tensor["name"]], np.float32)
            if found.size != expected.size:
                raise Failure(f"{self.name}.{tokens}.results: {tensor['name']} is not that of {tokens} token(s)")
            found = found.reshape(expected.shape)
            # Of each row, but for those that are nearly nothing.
            size = np.sqrt((expected**2).mean(-1, keepdims=True))
            size = np.maximum(size, max(1e-6 * float(size.max(initial=0)), 1e-30))
            off = float((abs(found - expected) / size).max(initial=0))
            worst = max(worst, off if off == off else float("inf"))
        return worst

    def close(self):
        for address in self.buffers:
            self.device.free(address)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=("cuda", "vulkan"), default="cuda")
    parser.add_argument("--library", type=Path, help="the folder with libmoe_rt.so (default: the one above FOLDER)")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    device = Device(options.library or options.folder.resolve().parent, options.device)
    wrong = count = 0
    targets = [p for p in sorted(options.folder.iterdir())
               if p.is_dir() and (p.name == "vulkan") == (options.device == "vulkan")]
    for folder in targets:
        for path in sorted(folder.glob("*.so")):
            name = path.stem
            if options.names and name not in options.names:
                continue
            case = Case(device, folder, name)
            off = {}
            for tokens in sorted(int(p.stem.split(".")[-1]) for p in options.folder.glob(f"{name}.*.results")):
                try:
                    off[tokens] = case.run(tokens)
                except DeviceError as error:
                    print(error, file=sys.stderr)
                    off[tokens] = float("inf")
            case.close()
            right = all(o <= case.bound for o in off.values())
            count, wrong = count + 1, wrong + (not right)
            print(f"{folder.name:<8} {name:<28} {'right' if right else 'WRONG'}",
                  *(f"{tokens}: {o:.1e}" for tokens, o in off.items()), flush=True)
    print(f"{device.name}: {count} layers, {wrong} wrong")
    return not count or bool(wrong)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DeviceError, Failure) as error:
        sys.exit(f"replay.py: error: {error}")
