"""Compares what call_layer prints with the interpreter.

usage: check_call_layer.py make-x TOKENS HIDDEN x.npy
       check_call_layer.py make-weights w.safetensors NAME:SHAPE ...
       check_call_layer.py compare printed.txt y.safetensors
"""
import json
import math
import struct
import sys


def make_x(tokens, hidden, path):
    values = [(i * 37 % 101 - 50) / 64 for i in range(tokens * hidden)]
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (
        tokens, hidden)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)))
        out.write(header.encode())
        out.write(struct.pack("<%df" % len(values), *values))


def make_weights(path, tensors):
    """What load() of pack_layer.c makes up."""
    header, data = {}, b""
    for tensor in tensors:
        name, shape = tensor.split(":")
        shape = [int(size) for size in shape.split("x")]
        values = [(i * 29 % 127 - 63) / 512 for i in range(math.prod(shape))]
        begin = len(data)
        data += struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def compare(printed, expected_path):
    with open(expected_path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        letter = {"F64": "d", "F32": "f"}[header["y"]["dtype"]]
        expected = struct.unpack("<4" + letter, file.read(4 * struct.calcsize(letter)))
    with open(printed) as file:
        got = [float(line.split("=")[1]) for line in file if line.startswith("y[")]
    assert len(got) == 4, "expected four values, got %s" % got
    for e, g in zip(expected, got):
        assert math.isclose(e, g, rel_tol=1e-4, abs_tol=1e-6), (expected, got)
    print("equal: %s" % got)


if sys.argv[1] == "make-x":
    make_x(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
elif sys.argv[1] == "make-weights":
    make_weights(sys.argv[2], sys.argv[3:])
else:
    compare(*sys.argv[2:])
