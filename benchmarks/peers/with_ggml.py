# ===- with_ggml.py - ggml's mul_mat_id ------------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""ggml, by ctypes: the graph of one layer around mul_mat_id."""

import ctypes
import itertools
import os
from pathlib import Path

import numpy as np

from peer import Peer, Unavailable, package_folder

# Of ggml_type, by the names of our formats.
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10, "q3_k": 11,
         "q4_k": 12, "q5_k": 13, "q6_k": 14, "iq4_nl": 20, "iq4_xs": 23, "bf16": 30, "mxfp4_blocks": 39}
F32, I32 = 0, 26


class ThreadpoolParams(ctypes.Structure):
    _fields_ = [("cpumask", ctypes.c_bool * 512), ("n_threads", ctypes.c_int), ("prio", ctypes.c_int),
                ("poll", ctypes.c_uint32), ("strict_cpu", ctypes.c_bool), ("paused", ctypes.c_bool)]


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Library:
    """Functions by their name without `ggml_`. Pointers and integers are passed
    and returned as 64 bits, which holds what narrower parameters read."""

    def __init__(self, folder):
        # Base before CPU, which refers to it.
        self.parts = [ctypes.CDLL(str(folder / f"libggml-{part}.so"), ctypes.RTLD_GLOBAL) for part in ("base", "cpu")]

    def __getattr__(self, name):
        part = next((p for p in self.parts if hasattr(p, "ggml_" + name)), None)
        if part is None:
            raise Unavailable(f"this ggml has no ggml_{name}")
        function = part["ggml_" + name]
        function.restype = ctypes.c_void_p

        def call(*arguments):
            return function(*[ctypes.c_int64(a) if isinstance(a, int) else ctypes.c_float(a) if isinstance(a, float)
                              else a for a in arguments])

        setattr(self, name, call)
        return call


def find():
    """The folder of the libraries: MOE_GGML, or that of libggml-python."""
    if "MOE_GGML" in os.environ:
        return Path(os.environ["MOE_GGML"])
    package = package_folder("libggml")
    return next((package / n for n in ("lib", "lib64") if (package / n / "libggml-cpu.so").exists()), package)


class Graph:
    """The layer for one number of tokens."""

    def __init__(self, peer, tokens):
        g, spec, self.peer = peer.library, peer.spec, peer
        hidden, inner, slots, experts = spec.hidden, spec.intermediate, spec.slots, spec.experts
        self.shape = (tokens, hidden)
        context = peer.context()
        weight = peer.weights

        self.x = g.new_tensor_2d(context, F32, hidden, tokens)
        scores = g.mul_mat(context, weight["router.weight"], self.x)
        if spec.router_bias:
            scores = g.add(context, scores, weight["router.bias"])
        if spec.score == "softmax_before":
            scores = g.soft_max(context, scores)
        chosen = g.top_k(context, scores, slots)
        weights = g.get_rows(context, g.reshape_3d(context, scores, 1, experts, tokens), chosen)
        weights = g.reshape_2d(context, weights, slots, tokens)
        if spec.score == "softmax_after":
            weights = g.soft_max(context, weights)
        if spec.renormalise:
            weights = g.div(context, weights, g.sum_rows(context, weights))
        weights = g.reshape_3d(context, weights, 1, slots, tokens)

        both = g.mul_mat_id(context, weight["experts.gate_up"],
                            g.reshape_3d(context, self.x, hidden, 1, tokens), chosen)
        if spec.expert_bias:
            both = g.add_id(context, both, weight["experts.gate_up_bias"], chosen)
        if spec.activation == "silu":
            rows = g.swiglu(context, both)
        else:
            halves = [g.view_3d(context, both, inner, slots, tokens, 8 * inner, 8 * inner * slots, 4 * inner * half)
                      for half in (0, 1)]
            rows = g.swiglu_oai(context, *halves, 1.702, 7.0)
        rows = g.mul_mat_id(context, weight["experts.down_proj"], rows, chosen)
        if spec.expert_bias:
            rows = g.add_id(context, rows, weight["experts.down_proj_bias"], chosen)
        rows = g.mul(context, rows, weights)
        of_slot = [g.view_2d(context, rows, hidden, tokens, 4 * hidden * slots, 4 * hidden * s) for s in range(slots)]
        self.y = of_slot[0]
        for other in of_slot[1:]:
            self.y = g.add(context, self.y, other)
        # What is an output keeps its memory: x is read again by the next run.
        for tensor in (self.x, self.y):
            g.set_output(tensor)
        self.graph = g.new_graph(context)
        g.build_forward_expand(self.graph, self.y)
        self.allocator = g.gallocr_new(g.backend_cpu_buffer_type())
        g.gallocr_alloc_graph(self.allocator, self.graph)


class Ggml(Peer):
    name = "ggml"
    formats = tuple(TYPES)

    @classmethod
    def version(cls):
        folder = find()
        try:
            library = Library(folder)
        except OSError as error:
            raise Unavailable(str(error)) from None
        library.version  # an older one cannot be called as it is here
        version = library.parts[0].ggml_version
        version.restype = ctypes.c_char_p
        vectors = [n for n in ("avx2", "avx512", "avx512_bf16") if getattr(library.parts[1], "ggml_cpu_has_" + n)()]
        return " ".join([version().decode(), *vectors[-1:]])

    def __init__(self, layer, threads):
        self.spec = spec = layer.spec
        if not spec.score.startswith("softmax") or spec.scale != 1 or spec.shared_intermediate:
            raise Unavailable("routes by softmax and top-k only")
        self.library = g = Library(find())
        # Threads sleep between calls; within one they always spin.
        parameters = ThreadpoolParams()
        g.threadpool_params_init(ctypes.byref(parameters), threads)
        parameters.poll = 0
        self.backend = g.backend_cpu_init()
        g.backend_cpu_set_n_threads(self.backend, threads)
        g.backend_cpu_set_threadpool(self.backend, g.threadpool_new(ctypes.byref(parameters)))
        self.graphs = {}
        context = self.context()
        self.weights = {n: self.weight_tensor(context, n, w, layer.format) for n, w in layer.weights.items()
                        if not n.startswith(("experts.gate_proj", "experts.up_proj"))}

    def context(self):
        return self.library.init(InitParams(16 << 20, None, True))

    def weight_tensor(self, context, name, array, form):
        g, spec = self.library, self.spec
        *outer, rows, columns = (1, 1, *array.shape)[-3:]
        kind = TYPES["bf16"] if array.dtype == np.uint16 else F32
        of_experts = name in ("experts.gate_up", "experts.down_proj")
        if of_experts:
            kind, outer, rows = TYPES[form], array.shape[:1], array.shape[1]
            columns = spec.intermediate if name == "experts.down_proj" else spec.hidden
        tensor = g.new_tensor_3d(context, kind, columns, rows, *outer)
        if g.nbytes(tensor) != array.nbytes:
            raise Unavailable(f"its {form} has other blocks")

        # As programs on ggml do it: in the order of its faster kernels, where
        # it has such for this type and this CPU.
        repacking = self.repacking_type() if of_experts else None
        if repacking:
            buffer = g.backend_buft_alloc_buffer(repacking, array.nbytes)
            packed = g.new_tensor_3d(context, kind, columns, rows, *outer)
            g.backend_tensor_alloc(buffer, packed, g.backend_buffer_get_base(buffer))
            row, chosen = g.new_tensor_3d(context, F32, columns, 1, 1), g.new_tensor_2d(context, I32, spec.slots, 1)
            if g.backend_supports_op(self.backend, g.mul_mat_id(context, packed, row, chosen)):
                g.backend_tensor_set(packed, array.ctypes.data, 0, array.nbytes)
                return packed
            g.backend_buffer_free(buffer)
        g.backend_tensor_alloc(g.backend_cpu_buffer_from_ptr(array.ctypes.data, array.nbytes), tensor,
                               array.ctypes.data)
        return tensor

    def repacking_type(self):
        """The type of buffers that reorders what is written to them."""
        g = self.library
        registry = g.backend_cpu_reg()
        types = g.backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
        if not types:
            return None
        found = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)(types)(
            g.backend_reg_dev_get(registry, 0))
        every = itertools.takewhile(bool, map(found.__getitem__, itertools.count()))
        return next((t for t in every if ctypes.string_at(g.backend_buft_name(t)) == b"CPU_REPACK"), None)

    def take(self, x):
        if len(x) not in self.graphs:
            self.graphs[len(x)] = Graph(self, len(x))
        graph = self.graphs[len(x)]
        self.library.backend_tensor_set(graph.x, x.ctypes.data, 0, x.nbytes)
        return graph

    def run(self, graph):
        if self.library.backend_graph_compute(self.backend, graph.graph):
            raise RuntimeError("ggml failed")
        return graph

    def give(self, graph):
        y = np.empty(graph.shape, np.float32)
        self.library.backend_tensor_get(graph.y, y.ctypes.data, 0, y.nbytes)
        return y


PEERS = [Ggml]
