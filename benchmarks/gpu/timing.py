# ===- timing.py - Times of functions on the device ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Times of functions on the device, replayed as graphs and in turns."""

import statistics
import time

import torch

MOST_REPEATS, LEAST_REPEATS = 15, 5
# A graph lasts about as long, so that starting it does not count, with so many
# rounds at most.
GRAPH_SECONDS, MOST_ROUNDS = 1e-3, 8


def replay(graph):
    """Its milliseconds."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def capture(function, calls):
    """A graph of it, called with 0 to `calls` - 1, and how many calls that is."""
    for _ in range(2):  # the first time things are compiled and allocated
        began = time.perf_counter()
        for i in range(calls):
            function(i)
        torch.cuda.synchronize()
        took = time.perf_counter() - began
    rounds = max(1, min(MOST_ROUNDS, int(GRAPH_SECONDS / took)))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(rounds * calls):
            function(i % calls)
    return graph, rounds * calls


def timed(functions, calls, seconds=2.5):
    """Medians in microseconds a call, and how many times each was measured: the
    graphs run in turn, so that all see the same clocks."""
    graphs = {name: capture(function, calls) for name, function in functions.items()}
    once = sum(replay(graph) for graph, _ in graphs.values()) / 1e3
    repeats = max(LEAST_REPEATS, min(MOST_REPEATS, int(seconds / once))) | 1
    times = {name: [] for name in graphs}
    for _ in range(repeats):
        for name, (graph, number) in graphs.items():
            times[name].append(replay(graph) * 1e3 / number)
    return {name: statistics.median(own) for name, own in times.items()}, repeats
