"""Compares what formats make of a layer: the errors of its results y against
those of exact weights.

usage: compare.py EXACT FIRST SECOND...; the error of each is to be less than
that of the one before it.
"""

import json
import math
import struct
import sys


def read(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        begin, end = header["y"]["data_offsets"]
        file.seek(8 + size + begin)
        kind = {"F64": ("d", 8), "F32": ("f", 4)}[header["y"]["dtype"]]
        return struct.unpack("<%d%s" % ((end - begin) // kind[1], kind[0]),
                             file.read(end - begin))


exact = read(sys.argv[1])
size = math.sqrt(sum(x * x for x in exact))
errors = [math.sqrt(sum((x - y) ** 2 for x, y in zip(exact, read(path)))) / size
          for path in sys.argv[2:]]
print("errors", *("%.4f" % error for error in errors))
for before, after in zip(errors, errors[1:]):
    if not after < 0.9 * before:
        print("not less")
