"""Plants what makes the router of collapse.mlir collapse, and checks that moe-run
names it, with the loads that numpy finds before and after it is taken away.

usage: plant_collapse.py MODEL.mlir bias|row|input|mean|all|none
"""
import os
import re
import subprocess
import sys

import numpy as np

model, kind = sys.argv[1:]
random = np.random.default_rng(7)
T, E, H = 1200, 8, 16
x, w, b = random.standard_normal((T, H)), random.standard_normal((E, H)), random.standard_normal(E) / 10
w /= np.linalg.norm(w, axis=1, keepdims=True)
if kind == "bias":
    b[3] = 9
elif kind == "row":
    # All inputs have a part in common that expert 6 likes.
    x += 0.3 * np.sign(w[6])
    w[6] *= 20
elif kind == "input":
    x[:, 5] = 40
elif kind == "mean":
    x += 12 * random.choice([-1, 1], H)
elif kind == "all":
    # Three things that each would do.
    b[3], x[:, 5], w[3, 5] = 50, 40, 2
x, w, b = (a.astype(np.float32) for a in (x, w, b))
os.makedirs(kind, exist_ok=True)
for name, values in (("x", x), ("router.weight", w), ("router.bias", b)):
    np.save(f"{kind}/{name}.npy", values)
files = ",".join(f"{kind}/{name}.npy" for name in ("x", "router.weight", "router.bias"))
done = subprocess.run(["moe-run", model, f"--inputs={files}", "--random=1", f"--routing-report={kind}.html"],
                      capture_output=True, text=True, check=True)
said = re.search(r"^layer has collapsed: (.*)", done.stdout, re.M)
with open(f"{kind}.html") as page:
    assert ("What did it" in page.read()) == bool(said)


def worth(x, w, b):
    """Experts of even load, of f64."""
    chosen = (x.astype(float) @ w.astype(float).T + b.astype(float)).argmax(axis=1)
    share = np.bincount(chosen, minlength=E) / T
    return float(np.exp(-sum(s * np.log(s) for s in share if s)))


def without_entry(values, e):
    fixed = values.copy()
    fixed[e] = np.delete(values, e).mean()
    return fixed


if kind == "none":
    assert not said and worth(x, w, b) > 5, done.stdout
    print("not blamed")
    sys.exit()
if kind == "all":
    assert said[1].startswith("no bias or weight alone"), said[1]
    print("none alone")
    sys.exit()
cause, before, after = re.fullmatch(r"(.*): without it effective experts (\S+) -> (\S+) of 8", said[1]).groups()
assert float(before) == float(f"{worth(x, w, b):.3g}"), said[1]
norms = np.linalg.norm(w.astype(float), axis=1)
if kind == "bias":
    assert cause.startswith("entry 3 of 'router.bias', which is 9 where the mean of the others is"), cause
    changed = worth(x, w, without_entry(b, 3))
elif kind == "row":
    assert cause.startswith("the weights of expert 6 in 'router.weight', whose norm is"), cause
    w = w.astype(float)
    w[6] *= np.delete(norms, 6).mean() / norms[6]
    changed = worth(x, w, b)
elif kind == "input":
    assert cause == "the weights of input 5 in 'router.weight', an input whose mean is 40", cause
    w[:, 5] = w[:, 5].mean()
    changed = worth(x, w, b)
else:
    assert cause == "what 'router.weight' makes of the mean row, which all tokens have in common", cause
    m = x.astype(float).mean(axis=0)
    changed = worth(x, w - np.outer(w @ m, m) / (m @ m), b)
assert abs(float(after) - changed) < 0.006 * changed and changed > 2, (said[1], changed)
print("named:", cause.split(",")[0])
