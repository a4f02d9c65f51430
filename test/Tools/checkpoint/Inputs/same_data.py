"""Whether two .safetensors files hold the same tensors, whatever else they say:
usage: same_data.py a.safetensors b.safetensors"""

import json
import struct
import sys


def read(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        return header, file.read()


sys.exit(read(sys.argv[1]) != read(sys.argv[2]))
