"""Whether a tensor of a .safetensors file is a routing: different experts for each
token, and all experts somewhere; usage: check_routing.py FILE NAME EXPERTS
[FEWER.safetensors], which has the first tokens of the same."""
import json
import struct
import sys


def read(path, name):
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:begin])[name]
    assert entry["dtype"] == "I32", entry
    tokens, slots = entry["shape"]
    first, last = entry["data_offsets"]
    values = struct.unpack("<%di" % (tokens * slots), data[begin + first:begin + last])
    return [values[t * slots:(t + 1) * slots] for t in range(tokens)]


path, name, experts = sys.argv[1:4]
rows = read(path, name)
for t, row in enumerate(rows):
    assert len(set(row)) == len(row), "token %d: %s" % (t, row)
assert {e for row in rows for e in row} == set(range(int(experts)))
assert len(set(map(frozenset, rows))) > 20, "tokens hardly differ"
for fewer in sys.argv[4:]:
    some = read(fewer, name)
    assert some == rows[:len(some)] and some
