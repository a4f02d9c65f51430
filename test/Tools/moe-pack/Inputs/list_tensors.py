"""Lists the tensors of a .safetensors file and checks that it has no holes and
that all but padding is 64-byte aligned."""

import json
import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
print("data at", 8 + length)
end = 0
tensors = [(t["data_offsets"], name, t) for name, t in header.items()
           if name != "__metadata__"]
for (begin, stop), name, tensor in sorted(tensors):
    assert begin == end, name
    end = stop
    if not name.startswith("__padding__"):
        assert (8 + length + begin) % 64 == 0, name
        print(name, tensor["dtype"], tensor["shape"])
assert 8 + length + end == len(data)
