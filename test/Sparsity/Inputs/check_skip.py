"""Compares what moe-skip-experts leaves with the definition, on hard weights.

usage: check_skip.py weights.mlir

The layers of the model give the weight of each expert, 0 where it has none.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

F32 = np.float32
model = sys.argv[1]
scratch = tempfile.TemporaryDirectory()
failures = 0


def run(entry, passes, inputs):
    after = os.path.join(scratch.name, "after.mlir")
    subprocess.run(["moe-opt", model, "--pass-pipeline=builtin.module(inline,%s)" % passes, "-o", after], check=True)
    files = []
    for name, values in inputs.items():
        files.append(os.path.join(scratch.name, name + ".npy"))
        np.save(files[-1], values)
    out = os.path.join(scratch.name, "out")
    os.makedirs(out, exist_ok=True)
    subprocess.run(["moe-run", after, "--entry=" + entry, "--inputs=" + ",".join(files), "-o", out],
                   check=True, stdout=subprocess.DEVNULL)
    return {name[:-4]: np.load(os.path.join(out, name)) for name in os.listdir(out)}


def choose(scores, k):
    """Larger first, NaN last, lower expert of two equal ones."""
    return [sorted(range(len(row)), key=lambda e: (np.isnan(row[e]), -row[e] if row[e] == row[e] else 0, e))[:k]
            for row in scores]


def magnitude(w):
    return np.inf if np.isnan(w) else abs(w)


def skip(scores, k, min_weight=0, min_ratio=0, max_experts=0, budget=1, min_experts=1, rescale=False):
    """The weights [T, E] of what stays."""
    chosen = choose(scores, k)
    weights = [[scores[t][e] for e in row] for t, row in enumerate(chosen)]
    # By magnitude; NaN is larger than an infinity.
    key = lambda w: (np.isnan(w), abs(w) if w == w else 0)
    everything = sorted((key(w) for row in weights for w in row), reverse=True)
    needed = int(np.ceil(budget * len(everything)))
    limit = everything[needed - 1] if needed else None
    out = np.zeros((len(scores), scores.shape[1]), F32)
    for t, row in enumerate(weights):
        order = sorted(range(k), key=lambda s: (not key(row[s])[0], -key(row[s])[1], s))
        largest = np.maximum.reduce(np.abs(np.array(row, F32)))
        stays = []
        for s, w in enumerate(row):
            keep = not abs(w) < F32(min_weight)
            keep &= not abs(w) < F32(largest * F32(min_ratio))
            keep &= not max_experts or order.index(s) < max_experts
            keep &= budget == 1 or (limit is not None and key(w) >= limit)
            stays.append(keep or order.index(s) < min_experts)
        factor = F32(1)
        if rescale:
            before = after = F32(0)
            for s, w in enumerate(row):
                before = F32(before + w)
                after = F32(after + (w if stays[s] else F32(0)))
            if after != 0 and before != after:
                factor = F32(before / after)
        for s, w in enumerate(row):
            if stays[s]:
                out[t][chosen[t][s]] = F32(w * factor)
    return out


def compare(what, got, expected, tolerance=0.0):
    global failures
    same = (np.abs(got - expected) <= tolerance * np.abs(expected)) | (got == expected) | (np.isnan(got) & np.isnan(expected))
    if not same.all():
        failures += 1
        t = np.where(~same)[0][0]
        print("%s: row %d is\n  %s, expected\n  %s" % (what, t, got[t], expected[t]))


np.seterr(invalid="ignore")
rng = np.random.default_rng(7)
scores = rng.random((64, 8)).astype(F32)
scores[1] = 0.5                                     # ties
scores[2] = np.round(scores[2] * 4) / 4
scores[3] = 0
scores[4] = -scores[4]
scores[5] *= F32(1e-42)
scores[6] = [0.75, 0.25, 0.25, 0.125, 0, 0, -0.0, 0]
finite = scores.copy()
scores[7, 3] = np.inf
scores[8, 2:] = np.nan
scores[9] = np.nan
cases = [dict(min_weight=0.25), dict(min_weight=0.25, min_experts=0), dict(min_ratio=0.5, min_experts=2),
         dict(max_experts=2), dict(budget=0.4), dict(budget=0.0, min_experts=0), dict(min_weight=0.9, max_experts=3, min_ratio=0.1),
         dict(min_ratio=0.9, rescale=True)]
for case in cases:
    text = " ".join("%s=%s" % (key.replace("_", "-"), str(value).lower()) for key, value in case.items())
    x = finite if case.get("rescale") else scores
    got = run("four", "moe-skip-experts{%s}" % text, {"s": x})["y"]
    # A weight of NaN times 0 in the other columns of its rows.
    expected = skip(x, 4, **case)
    expected[~np.isfinite(expected).all(axis=1)] = np.nan
    got[~np.isfinite(got).all(axis=1)] = np.nan
    # Sums and quotients are rounded in another order.
    compare(text, got, expected, 5e-7 if case.get("rescale") else 0.0)

# Experts that all tokens have stay, and a recording is of what the router chose.
small = finite[:, :7]
gate = np.full((64, 1), 2.0**-20, F32)
got = run("shared", "moe-skip-experts{min-weight=0.5 min-experts=0}", {"s": small, "gate": gate})
expected = np.concatenate([skip(small, 2, min_weight=0.5, min_experts=0), gate], axis=1)
compare("shared", got["y"], expected)
compare("chosen", got["chosen"], np.array(choose(small, 2)))
print("%d cases, %d failures" % (len(cases) + 2, failures))
sys.exit(failures != 0)
