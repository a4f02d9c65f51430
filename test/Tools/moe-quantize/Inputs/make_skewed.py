"""Writes activations of which a few columns are much larger than the others:
make_skewed.py FILE TOKENS COLUMNS."""

import json
import random
import struct
import sys

path, tokens, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(1)
values = [random.uniform(-1, 1) * (20 if k % 9 == 4 else 0.5)
          for _ in range(tokens) for k in range(columns)]
data = struct.pack("<%df" % len(values), *values)
header = json.dumps({"x": {"dtype": "F32", "shape": [tokens, columns],
                           "data_offsets": [0, len(data)]}}).encode()
header += b" " * (-len(header) % 8)
with open(path, "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + data)
