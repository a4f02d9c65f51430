"""Whether two .safetensors files have the same tensors, in any order: usage:
same_tensors.py [--unprefixed] A B; with the option, names of B have a function's
in front."""
import json
import struct
import sys


def read(path, unprefixed):
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name == "__metadata__" or name.startswith("__pad"):
            continue
        if unprefixed:
            name = name.split("/", 1)[1]
        first, last = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[begin + first:begin + last])
    return tensors


paths = [word for word in sys.argv[1:] if not word.startswith("-")]
a, b = read(paths[0], False), read(paths[1], "--unprefixed" in sys.argv)
assert sorted(a) == sorted(b), (sorted(a), sorted(b))
for name in a:
    assert a[name] == b[name], name
print("%d equal tensors, %s to %s" % (len(a), min(a), max(a)))
