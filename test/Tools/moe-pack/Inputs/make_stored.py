"""Writes the tensors that weights are packed from: bytes that are small numbers in
every type, but for some.

usage: make_stored.py MANIFEST.json OUT.safetensors [TENSOR@BYTE=VALUE]...
"""
import json
import struct
import sys

NAMES = {"f32": ("F32", 4), "bf16": ("BF16", 2), "f16": ("F16", 2), "i32": ("I32", 4),
         "i8": ("U8", 1), "f8E4M3FN": ("F8_E4M3", 1)}

manifest, out, *changes = sys.argv[1:]
tensors = {}
with open(manifest) as file:
    for function in json.load(file)["functions"]:
        for argument in function["arguments"]:
            for source in argument.get("packed", {}).get("sources", []):
                for tensor in source.get("storage", [source]):
                    tensors[tensor["name"]] = tensor
header, data = {}, b""
for name, tensor in tensors.items():
    dtype, size = NAMES[tensor["dtype"]]
    for dim in tensor["shape"]:
        size *= dim
    period = bytes(32 + (len(data) + i) * 37 % 101 % 28 for i in range(101))
    values = bytearray((period * (size // 101 + 1))[:size])
    for change in changes:
        place, value = change.split("=")
        if place.split("@")[0] == name:
            values[int(place.split("@")[1])] = int(value, 0)
    header[name] = {"dtype": dtype, "shape": tensor["shape"],
                    "data_offsets": [len(data), len(data) + size]}
    data += values
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(out, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
