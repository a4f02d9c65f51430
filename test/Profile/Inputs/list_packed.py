"""usage: list_packed.py FEWER.safetensors ALL.safetensors: which part of the bytes of
each tensor of a packed file another one has."""
import fractions
import json
import struct
import sys


def sizes(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: tensor["data_offsets"][1] - tensor["data_offsets"][0]
            for name, tensor in header.items() if not name.startswith("__")}


fewer, every = map(sizes, sys.argv[1:])
assert fewer.keys() == every.keys()
for name in sorted(fewer):
    print(f"{name}: {fractions.Fraction(fewer[name], every[name])}")
