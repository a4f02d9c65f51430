# ===- blocks.py - Weights in formats, packed as kernels read them ----------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Weights in formats: what packed bytes stand for, in f64, by what docs/formats.md says
of each format, and not by the compiler. Arrays are of `xp`, NumPy or PyTorch, which have
alike what is used here."""

import math
from dataclasses import dataclass

# Of floats: bits of exponent and mantissa, and what exponents count from.
FLOATS = {"f32": (8, 23, 127), "bf16": (8, 7, 127), "f16": (5, 10, 15), "f8E4M3FN": (4, 3, 7), "f4E2M1": (2, 1, 1)}


def to_float(bits, name):
    """The numbers with these bits; none is infinite or no number."""
    exponent_bits, mantissa_bits, bias = FLOATS[name]
    mantissa = bits % (1 << mantissa_bits)
    exponent = bits // (1 << mantissa_bits) % (1 << exponent_bits)
    sign = 1 - 2 * (bits // (1 << (mantissa_bits + exponent_bits)) % 2)
    normal = (exponent > 0) * 1
    size = 2.0 ** ((exponent + 1 - normal) * 1.0 - bias - mantissa_bits)
    return sign * (mantissa + normal * (1 << mantissa_bits)) * size


def join(xp, number):
    """Bytes, the lowest first, as one integer."""
    return sum(number[..., i] * 256 ** i for i in range(number.shape[-1]))


def nibbles_in_halves(xp, q):
    """Of a block whose bytes have element j low and element j + their number high."""
    return xp.stack([q % 16, q // 16], -2).reshape(*q.shape[:-1], -1)


def nibbles_in_pairs(xp, q):
    """Elements 2 j low and 2 j + 1 high."""
    return xp.stack([q % 16, q // 16], -1).reshape(*q.shape[:-1], -1)


def signed(q):
    return q - 256 * (q // 128)


def one(xp, number, name):
    return to_float(join(xp, number), name)[..., None]


def q4_0(xp, d, q):
    return one(xp, d, "f16") * (nibbles_in_halves(xp, q) - 8)


def q8_0(xp, d, q):
    return one(xp, d, "f16") * signed(q)


def q4_k(xp, d, dmin, s, q):
    low, middle, high = s[..., 0:4], s[..., 4:8], s[..., 8:12]
    scales = xp.stack([low % 64, high % 16 + low // 64 * 16], -2)
    minima = xp.stack([middle % 64, high // 16 + middle // 64 * 16], -2)
    lead = d.shape[:-1]
    scales, minima = (one(xp, f, "f16") * six.reshape(*lead, 8) for f, six in ((d, scales), (dmin, minima)))
    # Of each 64 elements, 32 bytes have the first half low and the second high.
    codes = nibbles_in_halves(xp, q.reshape(*lead, 4, 32)).reshape(*lead, 8, 32)
    return (scales[..., None] * codes - minima[..., None]).reshape(*lead, 256)


def int8(xp, q, scale):
    return one(xp, scale, "f32") * signed(q)


def int4(xp, q, scale):
    return one(xp, scale, "bf16") * (nibbles_in_pairs(xp, q) - 8)


def fp8(xp, values, scale):
    return one(xp, scale, "f32") * to_float(values, "f8E4M3FN")


def mxfp4(xp, q, e):
    return 2.0 ** (e * 1.0 - 127) * to_float(nibbles_in_pairs(xp, q), "f4E2M1")


def nvfp4(xp, d, q):
    lead = d.shape[:-1]
    values = to_float(nibbles_in_halves(xp, q.reshape(*lead, 4, 8)), "f4E2M1")
    return (to_float(d % 128, "f8E4M3FN")[..., None] * values).reshape(*lead, 64)


# What is known here, as make.sh names it; and the format's name for the compiler, where
# that is longer.
FORMATS = {f.__name__: f for f in (q4_0, q8_0, q4_k, int8, int4, fp8, mxfp4, nvfp4)}


@dataclass(frozen=True)
class Packed:
    """How a tensor is packed, by the `packed` of its manifest."""

    experts: int
    parts: int
    n: int  # of a part
    k: int
    block: int
    rows: int  # of a part, with those that fill panels
    columns: int  # of a panel
    fields: tuple

    @staticmethod
    def of(packed):
        parts = packed.get("parts", 1)
        sources = packed["sources"]
        return Packed(packed["experts"], parts, sources[0]["shape"][1], packed["k_padded"], packed["block"],
                      packed["n_padded"] // parts, packed["columns"], tuple(packed["fields"]))

    @property
    def block_bytes(self):
        """Of all columns of a panel."""
        return self.columns * sum(field["bytes"] for field in self.fields)

    @property
    def shape(self):
        return self.experts, self.parts * self.rows // self.columns, self.k // self.block, self.block_bytes

    @property
    def nbytes(self):
        return math.prod(self.shape)

    def offsets(self):
        """Where the numbers of each field begin in a block."""
        offset = 0
        for field in self.fields:
            yield field, offset
            offset += field["bytes"] * self.columns

    def decode(self, xp, name, data):
        """An expert's weights [parts * n, k] in f64, of its bytes as integers."""
        data = data.reshape(*self.shape[1:])
        numbers = {}
        for field, offset in self.offsets():
            unit, size = field["unit"], field["bytes"]
            own = data[:, :, offset:offset + size * self.columns]
            own = own.reshape(*own.shape[:2], size // unit, self.columns, unit)
            # [panels, blocks, units, columns, bytes] to rows of blocks.
            own = xp.moveaxis(own, 3, 1).reshape(-1, self.k // self.block, size)
            numbers[field["storage"], field["offset"]] = own
        values = FORMATS[name](xp, *(numbers[key] for key in sorted(numbers)))
        values = values.reshape(self.parts, self.rows, self.k)[:, :self.n]
        return values.reshape(self.parts * self.n, self.k)
