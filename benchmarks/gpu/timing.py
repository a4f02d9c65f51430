# ===- timing.py - Times of functions on the device ------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Times of functions on the device, replayed as graphs and in turns."""

import statistics

import torch

MOST_REPEATS, LEAST_REPEATS = 15, 5


def replay(graph):
    """Its milliseconds."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def timed(functions, calls, seconds=2.5):
    """Medians in microseconds a call, and how many times each was measured: each
    function is called with 0 to `calls` - 1 in one graph, and the graphs run in
    turn, so that all see the same clocks."""
    graphs = {}
    for name, function in functions.items():
        # Not in the graph: what is compiled or allocated at first.
        for i in range(calls):
            function(i)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for i in range(calls):
                function(i)
        graphs[name] = graph
    once = sum(replay(graph) for graph in graphs.values()) / 1e3
    repeats = max(LEAST_REPEATS, min(MOST_REPEATS, int(seconds / once))) | 1
    times = {name: [] for name in graphs}
    for _ in range(repeats):
        for name, graph in graphs.items():
            times[name].append(replay(graph) * 1e3 / calls)
    return {name: statistics.median(own) for name, own in times.items()}, repeats
