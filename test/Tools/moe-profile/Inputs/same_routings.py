"""usage: same_routings.py A.json B.json: routings are the same, and rows of weights."""
import json
import sys

a, b = (json.load(open(path))["functions"] for path in sys.argv[1:])
assert [f["routings"] for f in a] == [f["routings"] for f in b]
assert a != b or len(a) == 1
for one, other in zip(a, b):
    for mine, theirs in zip(one["weights"], other["weights"]):
        for m, t in zip(mine["experts"], theirs["experts"]):
            assert (m["rows"], m["nonzero"]) == (t["rows"], t["nonzero"])
