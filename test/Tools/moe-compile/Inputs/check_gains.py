"""Recomputes what missed fusions of the report would save: `would_save` of its JSON.

usage: check_gains.py REPORT

The layer is two-readers.mlir: 2 x 256 x 4 bytes a token are written and read.
"""
import json
import math
import sys

with open(sys.argv[1]) as file:
    report = json.load(file)
missed = [d for d in report["decisions"] if "would_save" in d]
assert len(missed) == 1 and missed[0]["category"] == "moe-fuse-residual", missed
calls = {c["tokens"]: c for c in report["layers"][0]["calls"]}
assert missed[0]["layer"] == "layer"
assert [g["tokens"] for g in missed[0]["would_save"]] == sorted(calls)
for gain in missed[0]["would_save"]:
    tokens, call = gain["tokens"], calls[gain["tokens"]]
    saved = tokens * 2048
    assert gain["bytes"] == saved
    assert math.isclose(gain["share_of_bytes"], saved / (call["bytes"] + saved))
    assert math.isclose(gain["share_of_seconds"], min(saved / 20e9 / call["seconds"], 1))
