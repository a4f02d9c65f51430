"""Changes one number of a .safetensors file: poke.py FILE TENSOR INDEX... VALUE,
an F32 tensor."""

import json
import struct
import sys

path, name, *index, value = sys.argv[1:]
with open(path, "r+b") as file:
    size, = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(size))[name]
    assert header["dtype"] == "F32" and len(index) == len(header["shape"])
    linear = 0
    for i, extent in zip(index, header["shape"]):
        linear = linear * extent + int(i)
    file.seek(8 + size + header["data_offsets"][0] + 4 * linear)
    file.write(struct.pack("<f", float(value)))
