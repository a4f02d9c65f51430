#!/usr/bin/env python3
# ===- from_python.py - moe_mlir with tensors on a card ---------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Calls a layer of the package moe_mlir with tensors of PyTorch and with arrays that
are known by DLPack alone, and compares with float64 on the card: other streams, a
graph, out=, the CPU's code of the same artifact, and what has to be refused.

    PYTHONPATH=python MOE_MLIR_RUNTIME=FOLDER/libmoe_rt.so LD_LIBRARY_PATH=FOLDER \\
        from_python.py FOLDER/layer.so [--device=cuda:0]

make_python.sh makes the folder, on a machine with the compiler.
"""

import argparse
import sys
import time

import torch

import moe_mlir
from moe_mlir import Routing

#: Of the root mean square of a row, where rows and what experts write are rounded to bf16.
BOUND = 12 * 0.0025
FAILURES = []


class Lent:
    """A tensor that is known through DLPack alone; which streams it was asked for."""

    def __init__(self, tensor):
        self.tensor, self.shape, self.streams = tensor, tuple(tensor.shape), []

    def __dlpack__(self, stream=None, **arguments):
        self.streams.append(stream)
        return self.tensor.__dlpack__(stream=stream, **arguments)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


def check(what, holds, said=""):
    print(f"{'ok' if holds else 'FAILED'}: {what}{f' ({said})' if said else ''}", flush=True)
    if not holds:
        FAILURES.append(what)


def refused(what, expected, function):
    try:
        function()
    except moe_mlir.Error as error:
        check(f"refused: {what}", expected in str(error), str(error))
    else:
        check(f"refused: {what}", False, "it was taken")


def make_weights(layer, place):
    """Weights by their names in the model, in bf16 on the card."""
    torch.manual_seed(1)
    made = {}
    for tensor in layer.model_tensors:
        values = torch.randn(tensor.shape, device=place) * tensor.shape[-1] ** -0.5
        made[tensor.name] = values.to(torch.bfloat16)
    return made


def make_inputs(tokens, experts, slots, hidden, place):
    torch.manual_seed(tokens + 2)
    x = torch.randn(tokens, hidden, device=place)
    scores, indices = torch.randn(tokens, experts, device=place).softmax(-1).topk(slots)
    return x, Routing(indices.to(torch.int32), scores.contiguous())


def compute(x, routing, weights):
    """In float64."""
    gate, up, down = (weights[f"experts.{name}_proj"].double() for name in ("gate", "up", "down"))
    rows, y = x.double(), torch.zeros_like(x, dtype=torch.float64)
    for e in range(gate.shape[0]):
        tokens, slots = torch.nonzero(routing.indices == e, as_tuple=True)
        hidden = torch.nn.functional.silu(rows[tokens] @ gate[e].T) * (rows[tokens] @ up[e].T)
        y.index_add_(0, tokens, (hidden @ down[e].T) * routing.weights[tokens, slots, None].double())
    return y


def off(y, wanted):
    """By how much at most, of the root mean square of a row."""
    if not wanted.numel():
        return 0.0
    scale = wanted.square().mean(-1, keepdim=True).sqrt()
    return float(((y.double() - wanted).abs() / scale).max())


def check_values(layer, weights, experts, slots, hidden, place):
    for tokens in (0, 1, 5, 17, 130, 1000):
        x, routing = make_inputs(tokens, experts, slots, hidden, place)
        wanted = compute(x, routing, weights)
        y = layer(x, routing=routing)
        check(f"T = {tokens}", off(y, wanted) < BOUND and y.device == place, f"off by {off(y, wanted):.4f}")
        out = torch.full_like(y, float("nan"))
        layer(x, routing=routing, out=out)
        check(f"T = {tokens}, out=", torch.equal(out, y))
        lent = Routing(Lent(routing.indices), Lent(routing.weights))
        given = Lent(x)
        torch.cuda.synchronize()
        other = layer(given, routing=lent)
        check(f"T = {tokens}, DLPack", isinstance(other, moe_mlir.DeviceArray) and
              other.__dlpack_device__() == x.__dlpack_device__() and torch.equal(torch.from_dlpack(other), y) and
              given.streams == [1], repr(other))


def check_streams(layer, experts, slots, hidden, place):
    x, routing = make_inputs(64, experts, slots, hidden, place)
    wanted = layer(x, routing=routing)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        later = x * 0
        for _ in range(20):  # Something to wait for.
            torch.randn(2000, 2000, device=place) @ torch.randn(2000, 2000, device=place)
        later.copy_(x)
        y = layer(later, routing=routing)
    side.synchronize()
    check("a side stream", torch.equal(y, wanted))
    with torch.cuda.stream(side):
        later.zero_()
        for _ in range(20):
            torch.randn(2000, 2000, device=place) @ torch.randn(2000, 2000, device=place)
        later.copy_(x)
    lent = Lent(later)
    routings = Routing(Lent(routing.indices), Lent(routing.weights))
    y = layer(lent, routing=routings, stream=side.cuda_stream)
    check("DLPack on a side stream", torch.equal(torch.from_dlpack(y), wanted) and lent.streams == [side.cuda_stream])
    graph = torch.cuda.CUDAGraph()
    static = torch.zeros_like(x)
    with torch.cuda.graph(graph):
        captured = layer(static, routing=routing)
    static.copy_(x)
    graph.replay()
    torch.cuda.synchronize()
    check("a graph", torch.equal(captured, wanted))


def check_refusals(layer, experts, slots, hidden, place):
    x, routing = make_inputs(8, experts, slots, hidden, place)
    refused("a tensor of the CPU", "is on cpu", lambda: layer(x.cpu(), routing=routing))
    refused("an array of NumPy", "host's memory", lambda: layer(x.cpu().numpy(), routing=routing))
    refused("another type", "expected f32", lambda: layer(x.double(), routing=routing))
    refused("strides", "not contiguous", lambda: layer(x.T.contiguous().T, routing=routing))
    refused("another width", "shape", lambda: layer(x[:, :-32].contiguous(), routing=routing))
    odd = torch.empty(x.numel() + 1, device=place)[1:].view_as(x)
    refused("an address between", "multiple of 16", lambda: layer(odd, routing=routing))
    refused("a routing on the CPU", "is on cpu",
            lambda: layer(x, routing=Routing(routing.indices.cpu(), routing.weights)))
    mixed = torch.from_dlpack(layer(Lent(x), routing=routing))
    check("a routing of PyTorch beside x by DLPack", torch.equal(mixed, layer(x, routing=routing)))
    refused("a stream beside PyTorch's", "current stream", lambda: layer(x, routing=routing, stream=1))
    x.requires_grad_()
    refused("a gradient", "requires a gradient", lambda: layer(x, routing=routing))


def show_time(layer, experts, slots, hidden, place):
    for tokens in (1, 16):
        x, routing = make_inputs(tokens, experts, slots, hidden, place)
        out = layer(x, routing=routing)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(500):
            layer(x, routing=routing, out=out)
        host = time.perf_counter() - begin
        torch.cuda.synchronize()
        print(f"T = {tokens}: {1e6 * host / 500:.1f} us of the host for a call")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact")
    parser.add_argument("--device", default="cuda:0")
    options = parser.parse_args()
    place = torch.device("cuda", int(options.device.partition(":")[2] or 0))
    torch.cuda.set_device(place)
    layer = moe_mlir.load(options.artifact, device=options.device)
    print(f"{torch.cuda.get_device_name(place)}, {layer.device}, {layer.variant} of {', '.join(layer.targets)}")
    weights = make_weights(layer, place)
    host = {name: tensor.cpu() for name, tensor in weights.items()}
    layer.weights = layer.pack(host)
    experts, hidden = weights["experts.down_proj"].shape[:2]
    slots = next(arg.shape[1] for arg in layer.arguments if arg.name == "routing.indices")
    with torch.no_grad():
        check_values(layer, weights, experts, slots, hidden, place)
        check_streams(layer, experts, slots, hidden, place)
    check_refusals(layer, experts, slots, hidden, place)
    if "x86-64-v3" in layer.targets:
        on_cpu = moe_mlir.load(options.artifact, device="cpu")
        on_cpu.weights = on_cpu.pack(host)
        x, routing = make_inputs(17, experts, slots, hidden, place)
        y = on_cpu(x.cpu(), routing=Routing(routing.indices.cpu(), routing.weights.cpu()))
        wanted = compute(x, routing, weights)
        check(f"the same artifact on the CPU, {on_cpu.variant}", off(y.to(place), wanted) < BOUND)
        refused("weights of the CPU's layout", "pack", lambda: setattr(layer, "weights", on_cpu.weights))
    show_time(layer, experts, slots, hidden, place)
    print(f"{len(FAILURES)} failed" if FAILURES else "all as it should be")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
