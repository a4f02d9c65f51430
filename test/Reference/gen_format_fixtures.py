#!/usr/bin/env python3
"""Writes the fixtures of formats of weights: bytes, and what others decode them to.

    pip install gguf torch compressed-tensors
    python3 gen_format_fixtures.py [--seed=20261127]

Inputs/format-<name>.safetensors has the storage of a few blocks of random bytes,
with scales of a sane size and some that are subnormal, under the names of
moe.dequantize's operands, and `weights` in f32. Formats of GGUF files are decoded
by gguf, those of other checkpoints by torch and compressed-tensors: nobody here
has a say in what is right.
"""
import argparse
import json
import os

import gguf
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"float32": "F32", "float16": "F16", "uint8": "U8", "int8": "I8"}
rng = None


def save(name, seed, dtypes={}, **tensors):
    """A .safetensors file; `dtypes` are those that NumPy has no type for."""
    header = {"__metadata__": {"seed": str(seed), "generator": os.path.basename(__file__)}}
    data = b""
    for key, a in sorted(tensors.items(), key=lambda kv: -kv[1].itemsize):
        raw = np.ascontiguousarray(a).tobytes()
        header[key] = {"dtype": dtypes.get(key) or DTYPES[a.dtype.name], "shape": list(a.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, "Inputs", "format-%s.safetensors" % name), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def random_bytes(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def scales(shape, dtype):
    """Scales of both signs over many powers of two; the first is subnormal."""
    values = np.exp2(rng.uniform(-12, 1, shape)) * rng.choice([-1.0, 1.0], shape)
    values.flat[0] = 3 * np.finfo(np.float16).smallest_subnormal
    return values.astype(dtype)


# Where blocks have f16 scales, and what else of them is no random byte.
F16_AT = {"F16": range(0, 64, 2), "Q4_0": [0], "Q8_0": [0], "Q4_K": [0, 2]}


def gguf_format(name, seed):
    kind = gguf.GGMLQuantizationType[name]
    size, width = gguf.GGML_QUANT_SIZES[kind]
    if name == "F16":
        size, width = 32, 64
    shape = (2, 1, 2) if size == 256 else (2, 3, 2)
    blocks = random_bytes(*shape, width)
    for at in F16_AT.get(name, []):
        blocks[..., at:at + 2] = scales(shape + (1,), np.float16).view(np.uint8)
    weights = gguf.quants.dequantize(blocks.reshape(shape[0], shape[1], -1), kind)
    weights = np.asarray(weights, np.float32).reshape(shape[0], shape[1], -1)
    if name == "F16":
        save("f16", seed, values=blocks.view(np.float16).reshape(weights.shape), weights=weights)
    else:
        save(name.lower(), seed, blocks=blocks, weights=weights)


def main():
    global rng
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=20261127)
    seed = parser.parse_args().seed
    for name in F16_AT:
        rng = np.random.default_rng([seed] + list(name.encode()))
        gguf_format(name, seed)


main()
