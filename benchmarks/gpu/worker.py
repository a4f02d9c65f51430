# ===- worker.py - What runs on the device, in a process of its own --------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Runs jobs one after the other and writes a line of JSON for each: gpu.py starts
it, and again without the job that hung or lost the device.

    worker.py FOLDER JOBS
"""

import gc
import json
import os
import sys
import traceback

import torch

import speed
from artifact import Device
from check import check
from layer import Layer


class Jobs:
    def __init__(self, folder):
        self.folder, self.device = folder, Device(folder)
        self.model, self.layer = None, None

    def layer_of(self, model):
        """Kept for the next job."""
        if self.model != model:
            self.model, self.layer = None, None
            release()
            self.layer = Layer(self.device, self.folder, model)
            self.model = model
        return self.layer

    def run(self, stage, model, tokens, **options):
        if model == "memory":
            return speed.memory()
        layer = self.layer_of(model)
        return check(layer, tokens) if stage == "check" else speed.speed(layer, model, tokens, **options)


def release():
    gc.collect()
    torch.cuda.empty_cache()


def versions():
    found = {"torch": torch.__version__, "cuda": torch.version.cuda}
    try:
        import triton
        found["triton"] = triton.__version__
    except ImportError:
        pass
    return found


def describe(error):
    """Its first line and the innermost place of ours."""
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(os.path.dirname(__file__))]
    place = f" ({os.path.basename(ours[-1].filename)}:{ours[-1].lineno})" if ours else ""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}{place}"


def main(folder, jobs):
    # What libraries print is not ours.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(line):
        print(json.dumps(line), file=answers, flush=True)

    torch.zeros(1, device="cuda")
    torch.backends.cuda.matmul.allow_tf32 = False
    gc.collect()
    gc.freeze()  # making a graph collects garbage, of which the libraries are none
    runner = Jobs(folder)
    say({"versions": versions()})
    for job in jobs:
        try:
            say(runner.run(**job))
        except Exception as error:
            traceback.print_exc()
            failed = {"failed": describe(error)}
            del error
            try:
                torch.cuda.synchronize()
            except RuntimeError:
                # Nothing works after that in this process.
                say({**failed, "lost": True})
                os._exit(1)
            say(failed)
        release()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
