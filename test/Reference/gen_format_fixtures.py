#!/usr/bin/env python3
"""Writes the fixtures of formats of weights: bytes, and what others decode them to.

    pip install gguf torch compressed-tensors hqq vllm
    python3 gen_format_fixtures.py [--seed=20261127]

Inputs/format-<name>.safetensors has the storage of a few blocks of random bytes,
with scales of a sane size and some that are subnormal, under the names of
moe.dequantize's operands, and `weights` in f32. Formats of GGUF files are decoded
by gguf, those of other checkpoints by torch and compressed-tensors, or packed by
compressed-tensors, hqq and vllm from values: nobody here has a say in what is right.
Of those that store no zeros the whole matrix is there first, and what is stored is
taken from it.
"""
import argparse
import json
import os

import gguf
import numpy as np
import torch
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized.helpers import (pack_to_int32,
                                                                   unpack_from_int32)
from hqq.core.bitpack import BitPack
from vllm.model_executor.layers.quantization.utils.quant_utils import (awq_pack, gptq_pack,
                                                                       pack_cols)

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"float32": "F32", "uint16": "BF16", "float16": "F16", "uint8": "U8", "int8": "I8", "int32": "I32"}
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


# Where blocks of GGUF files have f16 scales.
F16_AT = {
    "F16": range(0, 64, 2), "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "NVFP4": [],
    "TQ1_0": [52], "TQ2_0": [64], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0],
    "IQ3_XXS": [0], "IQ3_S": [0]}


def exponents(shape):
    """E8M0 scales; the first ones are subnormal."""
    values = rng.integers(110, 135, shape, dtype=np.uint8)
    values.flat[:3] = [0, 1, 2]
    return values


def gguf_format(name, seed):
    kind = gguf.GGMLQuantizationType[name]
    size, width = gguf.GGML_QUANT_SIZES[kind]
    if name == "F16":
        size, width = 32, 64
    shape = (2, 1, 2) if size == 256 else (2, 3, 2)
    blocks = random_bytes(*shape, width)
    for at in F16_AT[name]:
        blocks[..., at:at + 2] = scales(shape + (1,), np.float16).view(np.uint8)
    if name == "MXFP4":
        blocks[..., 0] = exponents(shape)
    if name == "NVFP4":
        # E4M3 without NaN, which gguf takes for 0.
        blocks[..., :4] = rng.integers(0, 127, shape + (4,), dtype=np.uint8)
    weights = gguf.quants.dequantize(blocks.reshape(shape[0], shape[1], -1), kind)
    weights = np.asarray(weights, np.float32).reshape(shape[0], shape[1], -1)
    if name == "F16":
        save("f16", seed, values=blocks.view(np.float16).reshape(weights.shape), weights=weights)
    else:
        mnemonic = "mxfp4_blocks" if name == "MXFP4" else name.lower()
        save(mnemonic, seed, blocks=blocks, weights=weights)


def mxfp4(seed):
    blocks, exponent = random_bytes(2, 3, 2, 16), exponents((2, 3, 2))
    values = unpack_fp4_from_uint8(torch.from_numpy(blocks.reshape(-1, 16)), 12, 32,
                                   dtype=torch.float64)
    weights = values.numpy().reshape(2, 3, 2, 32) * np.exp2(exponent[..., None] - 127.0)
    save("mxfp4", seed, blocks=blocks, scales=exponent,
         weights=weights.astype(np.float32).reshape(2, 3, 64))


def fp8(name, n, k, rows, columns, seed):
    """Tiles of rows and columns, all of a row if these are 0."""
    values = random_bytes(2, n, k)
    values[0, 0, :2] = [0x7f, 0xff]  # NaN
    values[1:][values[1:] & 127 == 127] = 1
    shape = (2, -(-n // rows)) + (() if columns == 0 else (-(-k // columns),))
    scale = scales(shape, np.float32)
    spread = scale.reshape(2, shape[1], -1).repeat(rows, 1)[:, :n]
    spread = spread.repeat(columns or k, 2)[:, :, :k]
    weights = torch.from_numpy(values).view(torch.float8_e4m3fn).to(torch.float32).numpy() * spread
    save(name, seed, {"values": "F8_E4M3"}, values=values, scales=scale, weights=weights)


def fp8_exponents(seed):
    """Scales as torch's type for them has them."""
    values, exponent = random_bytes(2, 3, 160), exponents((2, 1, 2))
    values[values & 127 == 127] = 1
    scale = torch.from_numpy(exponent).view(torch.float8_e8m0fnu).to(torch.float32).numpy()
    spread = scale.repeat(3, 1).repeat(128, 2)[:, :, :160]
    weights = torch.from_numpy(values).view(torch.float8_e4m3fn).to(torch.float32).numpy() * spread
    save("fp8-exponents", seed, {"values": "F8_E4M3", "scales": "F8_E8M0"}, values=values,
         scales=exponent, weights=weights)


def int8(seed):
    q, scale = random_bytes(2, 3, 32).view(np.int8), scales((2, 3), np.float32)
    save("int8", seed, q=q, scales=scale, weights=q.astype(np.float32) * scale[..., None])


def int4(name, k, group, dtype, has_zeros, seed):
    q = random_bytes(2, 3, k // 2)
    words = torch.from_numpy(q).view(torch.int32)
    # Less 8, as compressed tensors have them.
    codes = unpack_from_int32(words, 4, torch.Size([2, 3, k])).to(torch.float32)
    shape = (2, 3, k // group)
    scale = torch.from_numpy(scales(shape, np.float32)).to(dtype)
    zeros = torch.from_numpy(rng.integers(0, 16, shape)).to(dtype)
    less = zeros.to(torch.float32) - 8 if has_zeros else torch.zeros(shape)
    weights = ((codes - less.repeat_interleave(group, 2)) *
               scale.to(torch.float32).repeat_interleave(group, 2))
    kind = {torch.float16: "F16", torch.bfloat16: "BF16"}[dtype]
    tensors = {"q": q, "scales": scale.view(torch.int16).numpy().view(np.uint16)}
    if has_zeros:
        tensors["zeros"] = zeros.view(torch.int16).numpy().view(np.uint16)
    save(name, seed, {key: kind for key in ("scales", "zeros")}, **tensors,
         weights=weights.numpy())


def ordered(order, k, group, seed):
    """Codes, zeros and scales of two matrices of 16 rows, in the order of a file."""
    n, groups = 16, k // group
    q = rng.integers(0, 16, (2, n, k))
    zeros = rng.integers(0, 16, (2, n, groups))
    scale = scales((2, n, groups), np.float16)
    # The largest first: one more, in 4 bits, is 0.
    if order == "gptq":
        zeros[0, 0, 0] = 15
    less = (zeros + 1) % 16 if order == "gptq" else zeros
    weights = ((q - less.repeat(group, 2)) *
               scale.astype(np.float32).repeat(group, 2)).astype(np.float32)
    tensors = {}

    def add(name, make):
        tensors[name] = np.stack([np.ascontiguousarray(make(e)) for e in (0, 1)])

    def torches(a, e):
        return torch.from_numpy(a[e].astype(np.int32))

    if order == "pack_quantized":
        for name, a, dim in ("q", q, 1), ("zeros", zeros, 0):
            add(name, lambda e: pack_to_int32(torches(a - 8, e).to(torch.int8), 4, dim).numpy())
        tensors["scales"] = scale
    elif order == "hqq":
        add("q", lambda e: BitPack.pack_4bit_u8(torches(q, e).reshape(-1, group)).numpy())
        tensors["scales"] = scale.reshape(2, n * groups, 1)
        tensors["zeros"] = zeros.astype(np.float16).reshape(2, n * groups, 1)
    else:
        pack = {"awq": awq_pack}.get(order, gptq_pack)
        pack_zeros = {"awq": awq_pack}.get(order, pack_cols)
        add("q", lambda e: pack(torches(q, e).T.contiguous(), 4, k, n).numpy())
        add("zeros", lambda e: pack_zeros(torches(zeros, e).T.contiguous(), 4, groups, n).numpy())
        add("scales", lambda e: scale[e].T)
    save("int4-" + order, seed, **tensors, weights=weights)


def of_type(kind, shape):
    """Values that bf16, f16 or f32 has, and how they are stored."""
    values = (rng.standard_normal(shape) * np.exp2(rng.uniform(-9, 3, shape))).astype(np.float32)
    if kind == "bf16":
        bits = values.view(np.uint32) & np.uint32(0xffff0000)
        return bits.view(np.float32), (bits >> 16).astype(np.uint16)
    stored = values.astype({"f16": np.float16, "f32": np.float32}[kind])
    return stored.astype(np.float32), stored


def sparse24(name, kind, seed):
    """Which two of each four are values is chosen for the whole matrix at first."""
    n, k = 3, 64
    mask = rng.permuted(np.broadcast_to([True, True, False, False], (2, n, k // 4, 4)), axis=-1)
    values, stored = of_type(kind, (2, n, k // 2))
    weights = np.zeros((2, n, k // 4, 4), np.float32)
    weights[mask] = values.ravel()
    pairs = np.nonzero(mask)[-1].reshape(2, n, k // 8, 4).astype(np.uint8)
    places = pairs[..., 0] | pairs[..., 1] << 2 | pairs[..., 2] << 4 | pairs[..., 3] << 6
    save(name, seed, values=stored, places=places, weights=weights.reshape(2, n, k))


def sparse_blocks(name, kind, columns, kept, seed):
    """Two matrices of 20 rows: the last four have a list of their own."""
    n, k = 20, 128
    total = k // columns
    lists = np.sort(rng.permuted(np.broadcast_to(np.arange(total), (2, 2, total)),
                                 axis=-1)[..., :kept]).astype(np.int32)
    values, stored = of_type(kind, (2, n, kept, columns))
    weights = np.zeros((2, n, total, columns), np.float32)
    for e in range(2):
        for row in range(n):
            weights[e, row, lists[e, row // 16]] = values[e, row]
    save(name, seed, values=stored.reshape(2, n, -1), blocks=lists, weights=weights.reshape(2, n, k))


def sparse(seed):
    global rng
    rng = np.random.default_rng([seed, 24])
    sparse24("sparse24", "bf16", seed)
    sparse24("sparse24-f32", "f32", seed)
    sparse24("sparse24-f16", "f16", seed)
    sparse_blocks("sparse_blocks", "bf16", 32, 2, seed)
    sparse_blocks("sparse_blocks-f32", "f32", 8, 5, seed)


def main():
    global rng
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=20261127)
    seed = parser.parse_args().seed
    for name in F16_AT:
        rng = np.random.default_rng([seed] + list(name.encode()))
        gguf_format(name, seed)
    rng = np.random.default_rng(seed)
    mxfp4(seed)
    fp8("fp8", 3, 160, 128, 128, seed)
    fp8("fp8-tiles", 5, 96, 2, 64, seed)
    fp8("fp8-rows", 3, 32, 1, 0, seed)
    int8(seed)
    int4("int4", 64, 32, torch.float16, False, seed)
    int4("int4-zeros", 64, 64, torch.bfloat16, True, seed)
    fp8_exponents(seed)
    for order in "pack_quantized", "awq", "gptq", "gptq_v2", "hqq":
        ordered(order, 128, 64, seed)
    sparse(seed)


main()
