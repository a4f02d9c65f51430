"""Checks what moe-compile --fit printed.

usage: check_fit.py REPORT [PACKED.safetensors | QUANTIZE.json]...

The bytes of all weights are within the budget, and those of the tensors of a
packed file. Errors are those that moe-quantize measured.
"""
import json
import re
import struct
import sys

report, *files = sys.argv[1:]
with open(report) as file:
    text = file.read()
used, budget = map(int, re.search(r"^bytes: (\d+) of (\d+),", text, re.M).groups())
assert used <= budget, (used, budget)
table = {name: (to, float(error)) for name, to, error in re.findall(
    r"^  (\S+) +\S+ +(\S+) +[\d.]+ +\d+ +([\d.]+) %", text, re.M)}
for path in files:
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".json"):
        for weight in json.loads(data)["weights"]:
            name = weight["name"]
            if name not in table:
                name = weight["function"] + "/" + name
            to, error = table[name]
            assert weight["to"] == to, name
            assert abs(100 * weight["relative"] - error) < 0.0006, (name, error, weight["relative"])
        continue
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    packed = sum(t["data_offsets"][1] - t["data_offsets"][0]
                 for name, t in header.items()
                 if name != "__metadata__" and not name.startswith("__padding__"))
    assert packed == used, (packed, used)
print("%d of %d bytes" % (used, budget))
