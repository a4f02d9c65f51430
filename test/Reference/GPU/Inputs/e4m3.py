"""Layers of weights in fp8 whose rows become E4M3, in NumPy: every rounding that the kernels
for many rows make, but not the order of their sums."""
import json
import struct

import numpy as np

GROUP, LARGEST = 128, 448
DTYPES = {"F32": np.float32, "I32": np.int32, "F8_E4M3": np.uint8, "I8": np.int8}


def decode(codes):
    """What bytes of E4M3 stand for."""
    codes = codes.astype(np.int32)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    value = np.where(exponent == 0, mantissa * 2.0 ** -9, (8 + mantissa) * 2.0 ** (exponent - 10))
    return np.where(codes & 127 == 127, np.nan, np.where(codes & 128, -value, value))


def round_e4m3(values):
    """To nearest even, in f64; what is too large becomes the largest."""
    _, exponent = np.frexp(values)
    step = 2.0 ** (np.maximum(exponent - 1, -6) - 3)
    return np.clip(np.rint(values / step) * step, -LARGEST, LARGEST)


def round_bf16(values):
    """By way of f32, which is what kernels round from."""
    values = np.asarray(values, np.float32)
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7fff + (bits >> 16 & 1) & 0xffff0000).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), values, rounded)


def quantize(rows):
    """Rows of f32 as E4M3 times a scale for each group, in f64."""
    groups = np.asarray(rows, np.float32).reshape(len(rows), -1, GROUP)
    with np.errstate(all="ignore"):
        largest = np.maximum(np.abs(groups).max(-1, keepdims=True), np.float32(2.0 ** -110))
        codes = round_e4m3((groups * (np.float32(LARGEST) / largest)).astype(np.float64))
        # An infinity meets an inverse of zero.
        codes = np.where(np.isfinite(groups.sum(-1, keepdims=True)), codes, np.nan)
        return (codes * (largest / np.float32(LARGEST))).reshape(rows.shape)


class Matrix:
    """Weights of experts in fp8, as they are stored and as they are."""

    def __init__(self, random, experts, n, k, rows=GROUP, columns=GROUP, exponents=False):
        self.codes = random.integers(0, 256, (experts, n, k)).astype(np.uint8)
        self.codes[self.codes & 127 == 127] = 0
        wide = columns or k
        shape = experts, -(-n // rows), -(-k // wide)
        size = 1 / (100 * np.sqrt(k))  # values are of about 100
        if exponents:
            stored = np.round(np.log2(size)) + 127 + random.integers(-1, 2, shape)
            self.scales, scales = stored.astype(np.int8), 2.0 ** (stored - 127)
        else:
            self.scales = (size * random.uniform(0.5, 2, shape)).astype(np.float32)
            scales = self.scales.astype(np.float64)
        spread = scales.repeat(rows, 1)[:, :n].repeat(wide, 2)[:, :, :k]
        self.values = decode(self.codes) * spread
        if not columns:
            self.scales = self.scales[:, :, 0]

    def stored(self, name):
        block = self.codes.reshape(*self.codes.shape[:2], -1, GROUP)
        dtype = "I8" if self.scales.dtype == np.int8 else "F32"
        return {name + ".values": ("F8_E4M3", block), name + ".scales": (dtype, self.scales)}


def run(x, experts, weights, gate, up, down):
    """y of tokens whose slots have these experts, -1 for none."""
    y = np.zeros(x.shape, np.float64)
    rows = quantize(round_bf16(x))
    for expert in range(len(gate.values)):
        tokens, slots = np.nonzero(experts == expert)
        if not len(tokens):
            continue
        with np.errstate(all="ignore"):
            own = rows[tokens]
            g, u = own @ gate.values[expert].T, own @ up.values[expert].T
            h = quantize(round_bf16(g / (1 + np.exp(-g)) * u))
            out = round_bf16(h @ down.values[expert].T).astype(np.float64)
            np.add.at(y, tokens, out * weights[tokens, slots, None].astype(np.float64))
    return y


def write(path, tensors):
    """{name: (type of safetensors, array)}."""
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        own = np.ascontiguousarray(values, DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(own)]}
        data += own
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path, name):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        own = json.loads(file.read(size))[name]
        data = file.read()
    begin, end = own["data_offsets"]
    return np.frombuffer(data[begin:end], DTYPES[own["dtype"]]).reshape(own["shape"])
