# ===- model.py - A decoder as an exporter writes it -----------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Writes a decoder with MoE layers as an ONNX file, with weights from a seed.

The graph has the operators that exporters of PyTorch write: norms, rotary
embeddings, masks and attention in their parts, and projections as MatMul with
weights [in, out]. Keys and values of P earlier positions are inputs, and those of
the S new ones results. Experts are com.microsoft.MoE, which ONNX Runtime has a
kernel for, or left out, so that what is around them can be timed alone.

    model.py --layers=4 --experts=0 -o dense.onnx
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper


@dataclass
class Spec:
    """Sizes; the defaults are those of OLMoE-1B-7B with four layers."""
    layers: int = 4
    hidden: int = 2048
    heads: int = 16
    kv_heads: int = 16
    vocabulary: int = 50304
    experts: int = 64
    slots: int = 8
    intermediate: int = 1024
    seed: int = 1

    @property
    def head(self):
        return self.hidden // self.heads


class Decoder:
    """Builds the graph, and writes each weight behind the last one."""

    def __init__(self, spec, path):
        self.spec, self.path = spec, Path(path)
        self.data = self.path.with_suffix(".onnx_data")
        self.random = np.random.default_rng(spec.seed)
        self.nodes, self.initializers, self.count = [], [], 0
        self.constants = {}

    # Parts of a graph ------------------------------------------------------

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"node_{name}", **attributes))
        return name

    def constant(self, value, dtype=np.float32):
        array = np.asarray(value, dtype)
        key = (array.tobytes(), array.shape, array.dtype)
        if key not in self.constants:
            name = self.constants[key] = f"constant_{len(self.constants)}"
            self.initializers.append(onnx.numpy_helper.from_array(array, name))
        return self.constants[key]

    def weight(self, name, shape, scale=None):
        """Normal numbers that keep the size of what they multiply; ones if scale is 0."""
        if scale == 0:
            array = np.ones(shape, np.float32)
        else:
            array = self.random.standard_normal(shape, dtype=np.float32)
            array *= scale or 1 / math.sqrt(shape[-2])
        offset = -(-self.file.tell() // 4096) * 4096
        self.file.seek(offset)
        array.tofile(self.file)
        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self.data.name), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
        self.initializers.append(tensor)
        return name

    def shape(self, *sizes):
        return self.constant(sizes, np.int64)

    # Parts of a decoder ----------------------------------------------------

    def norm(self, x, name):
        squares = self.op("Pow", x, self.constant(2.0))
        mean = self.op("ReduceMean", squares, self.shape(-1), keepdims=1)
        root = self.op("Sqrt", self.op("Add", mean, self.constant(1e-5)))
        scaled = self.op("Mul", x, self.op("Reciprocal", root))
        return self.op("Mul", self.weight(name, (self.spec.hidden,), 0), scaled)

    def rotate(self, x, cos, sin):
        half = self.spec.head // 2
        low = self.op("Slice", x, self.shape(0), self.shape(half), self.shape(3))
        high = self.op("Slice", x, self.shape(half), self.shape(2**63 - 1), self.shape(3))
        turned = self.op("Concat", self.op("Neg", high), low, axis=-1)
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", turned, sin))

    def heads(self, x, prefix, name, count):
        """[1, heads, S, head] of a projection of x."""
        s = self.spec
        y = self.op("MatMul", x, self.weight(f"{prefix}.{name}.weight", (s.hidden, count * s.head)))
        y = self.op("Reshape", y, self.shape(1, -1, count, s.head))
        return self.op("Transpose", y, perm=[0, 2, 1, 3])

    def repeat(self, x):
        s = self.spec
        if s.heads == s.kv_heads:
            return x
        group = s.heads // s.kv_heads
        size = self.op("Shape", x, start=2, end=3)
        wide = self.op("Concat", self.shape(1, s.kv_heads, group), size, self.shape(s.head), axis=0)
        x = self.op("Expand", self.op("Unsqueeze", x, self.shape(2)), wide)
        return self.op("Reshape", x, self.shape(1, s.heads, -1, s.head))

    def attention(self, x, layer, cos, sin, mask):
        s, prefix = self.spec, f"layers.{layer}.self_attn"
        q = self.rotate(self.heads(x, prefix, "q_proj", s.heads), cos, sin)
        k = self.rotate(self.heads(x, prefix, "k_proj", s.kv_heads), cos, sin)
        v = self.heads(x, prefix, "v_proj", s.kv_heads)
        self.results += [(k, f"keys.{layer}"), (v, f"values.{layer}")]
        keys = self.repeat(self.op("Concat", f"past_keys.{layer}", k, axis=2))
        values = self.repeat(self.op("Concat", f"past_values.{layer}", v, axis=2))
        scores = self.op("MatMul", q, self.op("Transpose", keys, perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, self.constant(1 / math.sqrt(s.head)))
        chosen = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        y = self.op("Transpose", self.op("MatMul", chosen, values), perm=[0, 2, 1, 3])
        y = self.op("Reshape", y, self.shape(1, -1, s.hidden))
        return self.op("MatMul", y, self.weight(prefix + ".o_proj.weight", (s.hidden, s.hidden)))

    def experts(self, x, layer):
        s, prefix = self.spec, f"layers.{layer}.mlp"
        logits = self.op("MatMul", self.op("Reshape", x, self.shape(-1, s.hidden)),
                         self.weight(prefix + ".gate.weight", (s.hidden, s.experts)))
        # [E, 2 I, H], gate and up in turns, and [E, H, I].
        both = self.weight(prefix + ".experts.gate_up_proj", (s.experts, 2 * s.intermediate, s.hidden),
                           1 / math.sqrt(s.hidden))
        down = self.weight(prefix + ".experts.down_proj", (s.experts, s.hidden, s.intermediate),
                           1 / math.sqrt(s.intermediate))
        return self.op("MoE", x, logits, both, "", down, domain="com.microsoft", k=s.slots,
                       activation_type="swiglu", swiglu_fusion=1, normalize_routing_weights=0)

    def rotary(self, positions):
        """Cosines and sines, [1, 1, S, head]."""
        half = self.spec.head // 2
        rates = self.constant(1 / 10000 ** (np.arange(half) / half))
        places = self.op("Cast", positions, to=TensorProto.FLOAT)
        angles = self.op("Mul", self.op("Unsqueeze", places, self.shape(1)), rates)
        both = self.op("Unsqueeze", self.op("Concat", angles, angles, axis=-1), self.shape(0, 1))
        return self.op("Cos", both), self.op("Sin", both)

    def build(self):
        s = self.spec
        self.results = []
        with open(self.data, "wb") as self.file:
            tokens = self.op("Shape", "input_ids", start=1, end=2)
            before = self.op("Shape", "past_keys.0", start=2, end=3)
            total = self.op("Add", before, tokens)
            zero, one = self.constant(0, np.int64), self.constant(1, np.int64)
            scalar = [self.op("Squeeze", size) for size in (before, total)]
            queries = self.op("Range", scalar[0], scalar[1], one)
            keys = self.op("Range", zero, scalar[1], one)
            seen = self.op("LessOrEqual", self.op("Unsqueeze", keys, self.shape(0)),
                           self.op("Unsqueeze", queries, self.shape(1)))
            mask = self.op("Where", seen, self.constant(0.0), self.constant(np.finfo(np.float32).min))
            mask = self.op("Unsqueeze", mask, self.shape(0, 1))
            cos, sin = self.rotary(queries)
            x = self.op("Gather", self.weight("embed_tokens.weight", (s.vocabulary, s.hidden), 1.0), "input_ids")
            for layer in range(s.layers):
                y = self.norm(x, f"layers.{layer}.input_layernorm.weight")
                x = self.op("Add", x, self.attention(y, layer, cos, sin, mask))
                if s.experts:
                    y = self.norm(x, f"layers.{layer}.post_attention_layernorm.weight")
                    x = self.op("Add", x, self.experts(y, layer))
            y = self.norm(x, "norm.weight")
            y = self.op("MatMul", y, self.weight("lm_head.weight", (s.hidden, s.vocabulary)))
            self.nodes.append(helper.make_node("Identity", [y], ["logits"]))
        for value, name in self.results:
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        return self.model()

    def model(self):
        s, info = self.spec, helper.make_tensor_value_info
        past = [info(f"past_{kind}.{layer}", TensorProto.FLOAT, [1, s.kv_heads, "P", s.head])
                for layer in range(s.layers) for kind in ("keys", "values")]
        new = [info(name, TensorProto.FLOAT, [1, s.kv_heads, "S", s.head]) for _, name in self.results]
        graph = helper.make_graph(
            self.nodes, "decoder", [info("input_ids", TensorProto.INT64, [1, "S"]), *past],
            [info("logits", TensorProto.FLOAT, [1, "S", s.vocabulary]), *new], self.initializers)
        return helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)])


def write(spec, path):
    """Writes `path`, and its weights beside it as .onnx_data."""
    onnx.save(Decoder(spec, path).build(), path)


def add_arguments(parser):
    for name, default in vars(Spec()).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=default)


def read_spec(options):
    return Spec(**{name: getattr(options, name) for name in vars(Spec())})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("-o", "--output", default="decoder.onnx")
    options = parser.parse_args()
    write(read_spec(options), options.output)


if __name__ == "__main__":
    main()
