"""usage: compare.py A B TOLERANCE: whether the `y` of two .safetensors files are the
same, but for an error of TOLERANCE of the largest number, and not all zeros."""
import json
import struct
import sys

import numpy as np


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    begin, end = header["y"]["data_offsets"]
    return np.frombuffer(data[begin:end], {"F32": "<f4", "F64": "<f8"}[header["y"]["dtype"]]).astype(float)


a, b = map(read, sys.argv[1:3])
assert a.shape == b.shape and np.abs(a).max() > 0
error = np.abs(a - b).max() / np.abs(a).max()
print("same" if error <= float(sys.argv[3]) else f"off by {error:.3g}")
