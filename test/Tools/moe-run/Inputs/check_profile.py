"""Checks a profile of profiled.mlir: that it is as docs/profile.md says, and its
numbers, computed here from the tensors of the call as the ops are defined.

usage: check_profile.py PAGE.md PROFILE.json INPUTS... [--routings-only]
"""
import json
import math
import re
import struct
import sys

import numpy as np

page, path = sys.argv[1:3]
folders = [f for f in sys.argv[3:] if not f.startswith("--")]
with open(page) as file:
    schema = json.loads(re.search(r"```json\n(.*?)```", file.read(), re.S)[1])
with open(path) as file:
    profile = json.load(file)

KINDS = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}


def validate(value, rule, at):
    if "$ref" in rule:
        return validate(value, schema["$defs"][rule["$ref"].rsplit("/", 1)[1]], at)
    assert set(rule) <= {"$schema", "$defs", "type", "const", "required", "properties", "items", "minimum", "maximum",
                         "minItems", "maxItems"}, rule
    assert "const" not in rule or value == rule["const"], (at, value)
    assert "type" not in rule or isinstance(value, KINDS[rule["type"]]) and not isinstance(value, bool), (at, value)
    assert value >= rule["minimum"] if "minimum" in rule else True, (at, value)
    assert value <= rule["maximum"] if "maximum" in rule else True, (at, value)
    for name in rule.get("required", ()):
        assert name in value, (at, name)
    if isinstance(value, dict):
        for name, member in value.items():
            assert name in rule["properties"], (at, name)
            validate(member, rule["properties"][name], f"{at}.{name}")
    if isinstance(value, list):
        assert rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)), (at, value)
        for i, element in enumerate(value):
            validate(element, rule["items"], f"{at}[{i}]")


validate(profile, schema, "profile")


def choices(folder):
    """Of each router: for each token a list of (expert, weight)."""
    s, z, h = (np.load(f"{folder}/{n}.npy") for n in ("s", "z", "thresholds"))
    above = [[e for e in range(6) if row[e] > h[e]] for row in s]
    weights = [1 / len(c) if c else 0 for c in above]
    # Twenty of each expert: slot by slot, tokens in order. Slot e is expert e.
    room, kept = [20] * 6, [[] for _ in s]
    for e in range(6):
        for t, c in enumerate(above):
            if e in c and room[e]:
                room[e] -= 1
                kept[t].append((e, weights[t]))
    best = [sorted(range(4), key=lambda e: -row[e])[:2] for row in z]
    return kept, [[(e, float(row[e])) for e in c] for row, c in zip(z, best)]


def bin_of(weight):
    (bits,) = struct.unpack("I", struct.pack("f", abs(weight)))
    return -1 - (bits >> 20) if weight < 0 else bits >> 20


(function,) = profile["functions"]
assert function["name"] == "two" and len(function["routings"]) == 2
all_choices = [choices(folder) for folder in folders]
for number, (experts, slots) in enumerate([(6, 6), (4, 2)]):
    chosen = [token for one in all_choices for token in one[number]]
    got = function["routings"][number]
    flat = [a for token in chosen for a in token]
    assert flat and (got["experts"], got["slots"]) == (experts, slots)
    assert got["tokens"] == len(chosen) and got["assignments"] == len(flat)
    assert got["counts"] == [sum(e == i for e, _ in flat) for i in range(experts)]
    for i, total in enumerate(got["weight_sums"]):
        # 1/3 is off by no more than the f32 of compiled code is.
        assert math.isclose(total, math.fsum(w for e, w in flat if e == i), rel_tol=1e-6, abs_tol=1e-9), (i, total)
    assert got["tokens_with"] == [sum(len(c) == k for c in chosen) for k in range(slots + 1)]
    pairs = [[i, j, sum({i, j} <= {e for e, _ in c} for c in chosen)] for i in range(experts) for j in range(i + 1, experts)]
    assert got["pairs"] == [p for p in pairs if p[2]], got["pairs"]
    weights = sorted(np.float32(w) for _, w in flat)
    seen = got["weights"]
    assert (seen["least"], seen["largest"]) == (weights[0], weights[-1])
    bins = {}
    for w in weights:
        bins[bin_of(w)] = bins.get(bin_of(w), 0) + 1
    assert seen["bins"] == [[b, bins[b]] for b in sorted(bins)], seen["bins"]
    for share, value in zip((0, 0.05, 0.25, 0.5, 0.75, 0.95, 1), seen["quantiles"]):
        exact = weights[max(math.ceil(share * len(weights)), 1) - 1]
        assert abs(value - exact) <= 0.0626 * abs(exact), (share, value, exact)
if "--routings-only" in sys.argv:
    assert function["weights"] == []
else:
    # What the down projections of the first layer meet: ReLU makes zeros.
    down = next(w for w in function["weights"] if w["name"] == "down")
    for e, expert in enumerate(down["experts"]):
        hidden = [np.maximum(np.load(f"{f}/up.npy")[e].astype(float) @ np.load(f"{f}/x.npy")[t].astype(float), 0)
                  for f, one in zip(folders, all_choices) for t, c in enumerate(one[0]) if e in {a for a, _ in c}]
        assert expert["rows"] == len(hidden) and expert["nonzero"] == np.count_nonzero(hidden)
        assert 0.2 * 16 * len(hidden) <= expert["nonzero"] <= 0.8 * 16 * len(hidden)
        if hidden:
            assert np.allclose(expert["mean_squares"], np.square(hidden).mean(axis=0), rtol=1e-5)
    other = next(w for w in function["weights"] if w["name"] == "down2")
    for e in other["experts"]:
        assert e["nonzero"] <= e["rows"] * 16
print("profile: good")
