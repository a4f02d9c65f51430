#!/usr/bin/env python3
# ===- whole.py - Times of whole layers, with their routers ----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Microseconds of layers from x to y, replayed as graphs, of the artifacts that make.sh
makes in FOLDER/whole. With --prefixes also of their first kernels alone, one, two, and
so on, so that differences say what each one adds to a call.

    whole.py FOLDER [--tokens=1,4,16] [--prefixes] [NAME...]
"""

import argparse
import ctypes
import json
import math
import sys
from pathlib import Path

import torch

from artifact import Artifact, Device, LaunchHook, DeviceError, card
from report import Failure
from timing import timed

CALLS = 4  # with inputs of their own, so that experts differ


class Whole:
    def __init__(self, device, folder, name):
        function, = json.loads((folder / f"{name}.json").read_text())["functions"]
        self.device, self.function = device, function
        self.artifact = Artifact(device, folder, name, function)
        random = torch.Generator("cuda").manual_seed(1)
        self.weights = {}
        for tensor in function["arguments"]:
            if "T" in tensor["shape"]:
                continue
            packed = tensor.get("packed")
            kind = torch.bfloat16 if packed and packed["dtype"] == "bf16" else torch.float32
            size = math.prod(tensor["shape"]) // (kind.itemsize if packed else 1)
            depth = packed["sources"][0]["shape"][-1] if packed else 1
            self.weights[tensor["name"]] = torch.empty(size, dtype=kind, device="cuda").normal_(
                std=1 / math.sqrt(depth), generator=random)

    def works(self, tokens):
        """What each call is given: its tensors and its workspace."""
        made = []
        for seed in range(CALLS):
            random = torch.Generator("cuda").manual_seed(100 + seed)
            own = {}
            for tensor in self.function["arguments"] + self.function["results"]:
                if "T" in tensor["shape"]:
                    shape = [tokens if n == "T" else n for n in tensor["shape"]]
                    own[tensor["name"]] = torch.randn(shape, device="cuda", generator=random)
            made.append((own, torch.empty(self.artifact.workspace_bytes(tokens), dtype=torch.uint8, device="cuda")))
        return made

    def run(self, tokens, work):
        tensors, workspace = work
        return self.artifact.call(
            tokens, {name: t.data_ptr() for name, t in {**self.weights, **tensors}.items()}, workspace.data_ptr(),
            workspace.numel(), stream=torch.cuda.current_stream().cuda_stream, noting=True)


def first(device, count):
    """A hook that starts so many kernels of a call, and a function that resets it."""
    started = [0]

    def start(rt, launch):
        started[0] += 1
        device.launched.append(launch.contents.kernel.decode())
        return device.start(rt, launch) if started[0] <= count else 0

    return LaunchHook(start), lambda: started.__setitem__(0, 0)


def prefixes(device, whole, tokens, works, kernels):
    """A function for each number of kernels."""
    filtering, hooks = device.filtering, []

    def make(count):
        hook, reset = first(device, count)
        hooks.append(hook)
        address = ctypes.cast(hook, ctypes.c_void_p).value

        def run(i):
            reset()
            device.filtering = address
            whole.run(tokens, works[i])
            device.filtering = filtering

        return run

    return {f"{n}": make(n) for n in range(1, len(kernels))}, hooks


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", default="1,4,16", type=lambda text: [int(t) for t in text.split(",")])
    parser.add_argument("--prefixes", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    device, rows = Device(options.folder), []
    names = options.names or sorted(path.stem for path in (options.folder / "whole").glob("*.so"))
    print(f"whole layers, us, {card()}")
    for name in names:
        whole = Whole(device, options.folder / "whole", name)
        for tokens in options.tokens:
            works = whole.works(tokens)
            kernels = [whole.run(tokens, work) for work in works][0]
            torch.cuda.synchronize()
            pieces, hooks = prefixes(device, whole, tokens, works, kernels) if options.prefixes else ({}, [])
            pieces["all"] = lambda i: whole.run(tokens, works[i])
            times, _ = timed(pieces, CALLS, seconds=1)
            rows.append({"model": name, "tokens": tokens, "us": times, "kernels": kernels})
            print(f"{name:<20} {tokens:>6} {times['all']:>9.1f}")
            before = 0.0
            for n, kernel in enumerate(kernels if options.prefixes else [], 1):
                own = times["all" if n == len(kernels) else f"{n}"]
                print(f"    {kernel:<36} +{own - before:.1f}")
                before = own
            if options.json:
                options.json.write_text(json.dumps({"card": card(), "rows": rows}, indent=1) + "\n")
        del whole
        torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DeviceError, Failure, OSError) as error:
        sys.exit(f"whole.py: error: {error}")
