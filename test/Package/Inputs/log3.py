"""Writes blocks of #acme.log3 and what they stand for, without a line of the plugin.

usage: log3.py OUT.safetensors
"""
import json
import random
import struct
import sys

random.seed(3)
blocks, weights = b"", []
for block in range(3 * 2):
    d = struct.unpack("<e", struct.pack("<e", random.choice([-1, 1]) * random.uniform(0.01, 4)))[0]
    elements = [(random.random() < 0.5, random.randrange(4)) for _ in range(32)]
    signs = sum(minus << k for k, (minus, _) in enumerate(elements))
    halvings = sum(times << 2 * k for k, (_, times) in enumerate(elements))
    blocks += struct.pack("<eIQ", d, signs, halvings)
    weights += [d / 2 ** times * (-1 if minus else 1) for minus, times in elements]
data = struct.pack("<%df" % len(weights), *weights) + blocks
header = json.dumps({
    "weights": {"dtype": "F32", "shape": [3, 64], "data_offsets": [0, 4 * len(weights)]},
    "blocks": {"dtype": "U8", "shape": [3, 2, 14],
               "data_offsets": [4 * len(weights), len(data)]}}).encode()
header += b" " * (-len(header) % 8)
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + data)
