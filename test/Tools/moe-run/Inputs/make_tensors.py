"""Writes a .safetensors file of tensors NAME:DTYPE:AxBxC, filled with a fixed
pattern of small numbers. Needs no NumPy."""

import json
import struct
import sys

SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "I32": 4, "U8": 1}


def element(dtype, i):
    value = ((i * 37) % 101 - 50) / 256.0
    if dtype == "F64":
        return struct.pack("<d", value)
    if dtype == "F32":
        return struct.pack("<f", value)
    if dtype == "BF16":
        return struct.pack("<f", value)[2:]
    if dtype == "F16":
        return struct.pack("<e", value)
    return (i % 100).to_bytes(SIZES[dtype], "little")


def main():
    header, data = {}, bytearray()
    for spec in sys.argv[2:]:
        name, dtype, shape = spec.rsplit(":", 2)
        shape = [int(size) for size in shape.split("x") if size]
        count = 1
        for size in shape:
            count *= size
        begin = len(data)
        # The pattern repeats after 101 elements (and 100 for integers).
        period = b"".join(element(dtype, i) for i in range(10100))
        total = count * SIZES[dtype]
        data += (period * (total // len(period) + 1))[:total]
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 8)
    with open(sys.argv[1], "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


main()
