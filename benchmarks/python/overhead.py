# ===- overhead.py - What calls from Python cost --------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What a call from Python costs beyond the call from C, of a layer that does next to nothing.

usage: overhead.py [--calls N] [--repeats N]

The layer has T=1, E=8, H=32, I=16, K=2 and one thread. Times are of the calling
thread's CPU time, the least of several repeats that take turns, so that other
processes disturb them little. MOE_MLIR_BIN or PATH say where the tools are; CC is
the compiler of the loop in C.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))
import moe_mlir
from moe_mlir._calls import workspaces

IR = """
func.func @experts(%x: tensor<?x32xf32> {moe.name = "x", moe.dims = ["T"]},
    %i: tensor<?x2xi32> {moe.name = "routing.indices", moe.dims = ["T"]},
    %w: tensor<?x2xf32> {moe.name = "routing.weights", moe.dims = ["T"]},
    %g: tensor<8x16x32xf32> {moe.name = "gate"}, %u: tensor<8x16x32xf32> {moe.name = "up"},
    %d: tensor<8x32x16xf32> {moe.name = "down"}) -> (tensor<?x32xf32> {moe.name = "y", moe.dims = ["T"]}) {
  %r = moe.routing.make %i, %w : tensor<?x2xi32>, tensor<?x2xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  %out = moe.expert %rows by %r : (tensor<?x32xf32>, !moe.routing<8 x 2>) -> tensor<?x32xf32>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x16x32xf32>, tensor<8x16x32xf32>, tensor<8x32x16xf32>) {
  ^bb0(%t: tensor<?x32xf32>, %a: tensor<16x32xf32>, %b: tensor<16x32xf32>, %c: tensor<32x16xf32>):
    %f = moe.ffn %t gate(%a) up(%b) down(%c) activation(#moe.silu) : (tensor<?x32xf32>, tensor<16x32xf32>, tensor<16x32xf32>, tensor<32x16xf32>) -> tensor<?x32xf32>
    moe.yield %f : tensor<?x32xf32>
  }
  %y = moe.combine %out by %r : tensor<?x32xf32>, !moe.routing<8 x 2> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
"""

# The same layer behind a router of its own: one argument, one result.
CONFIG = {"model_type": "mixtral", "hidden_size": 32, "intermediate_size": 16, "num_local_experts": 8,
          "num_experts_per_tok": 2, "num_hidden_layers": 1}

LOOP = """
#include <stddef.h>
#include <stdint.h>
typedef int invoke_function(const void *, const int64_t *, void *const *, void *, size_t);
int loop(long calls, invoke_function *invoke, const void *rt, const int64_t *sizes, void *const *buffers,
         void *workspace, size_t bytes) {
  int status = 0;
  while (calls--)
    status |= invoke(rt, sizes, buffers, workspace, bytes);
  return status;
}
"""


def build_loop(folder):
    (folder / "loop.c").write_text(LOOP)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", folder / "loop.c", "-o", folder / "loop.so"],
                   check=True)
    return ctypes.CDLL(str(folder / "loop.so")).loop


def of_layer(layer, loop, x, arguments):
    """(name, function of a number of calls) of each way to call."""
    y = np.empty_like(x)
    layer(x, out=y, **arguments)
    call = layer._binding.calls[-1]
    (plan,) = layer._plans.values()
    workspace = workspaces[-1]

    def repeat(body):
        def run(calls):
            for _ in range(calls):
                body()
        return run

    def in_c(calls):
        if loop(ctypes.c_long(calls), layer._invoke, call.rt, plan.sizes, call.buffers, workspace.pointer,
                workspace.size):
            sys.exit("a call failed")

    def by_ctypes(calls):
        invoke, rt, sizes, buffers = layer._invoke, call.rt, plan.sizes, call.buffers
        for _ in range(calls):
            invoke(rt, sizes, buffers, workspace.pointer, workspace.size)

    ways = [("C", in_c), ("ctypes alone", by_ctypes),
            ("NumPy", repeat(lambda: layer(x, **arguments))),
            ("NumPy, out=", repeat(lambda: layer(x, out=y, **arguments)))]
    try:
        import torch
    except ImportError:
        return ways
    tx, ty = torch.from_numpy(x.copy()), torch.empty(x.shape)
    given = {k: tuple(torch.from_numpy(a) for a in v) for k, v in arguments.items()}
    return ways + [("PyTorch", repeat(lambda: layer(tx, **given))),
                   ("PyTorch, out=", repeat(lambda: layer(tx, out=ty, **given)))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20000)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 32)).astype(np.float32)
    routing = (np.array([[3, 1]], np.int32), np.array([[0.25, 0.75]], np.float32))
    with tempfile.TemporaryDirectory() as folder:
        loop = build_loop(Path(folder))
        for name, config, arguments in (("a routing from outside", IR, {"routing": routing}),
                                        ("a router", CONFIG, {})):
            layer = moe_mlir.compile(config).load(threads=1)
            layer.weights = layer.pack({a.name: rng.standard_normal(a.shape).astype(np.float32)
                                        for a in layer.model_tensors})
            ways = of_layer(layer, loop, x, arguments)
            best = {way: float("inf") for way, _ in ways}
            for _ in range(args.repeats):
                for way, run in ways:
                    begin = time.thread_time()
                    run(args.calls)
                    best[way] = min(best[way], (time.thread_time() - begin) / args.calls)
            print(f"with {name}, {layer.variant}")
            for way, _ in ways:
                print(f"  {way:14} {1e6 * best[way]:6.2f} us" +
                      (f", {1e6 * (best[way] - best['C']):5.2f} more" if way != "C" else ""))


main()
