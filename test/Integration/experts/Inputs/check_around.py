"""Compares what is fused around a layer with the same in pieces, bit by bit.

usage: check_around.py [--tokens=N,...] ARTIFACT

ARTIFACT was compiled from around.mlir. A norm in a call of its own, then the layer,
then x + y by numpy have the bits of the function that does all three; routers have
those of both in one function.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--tokens", default="1,5,40,200")
parser.add_argument("artifact")
args = parser.parse_args()
scratch = tempfile.TemporaryDirectory()
rng = np.random.default_rng(11)
known = {"norm": rng.standard_normal(96), "bias": rng.standard_normal(96),
         "router.weight": rng.standard_normal((8, 96)), "second.weight": rng.standard_normal((8, 96)),
         "up": rng.standard_normal((8, 64, 96)) / 10, "down": rng.standard_normal((8, 96, 64)) / 8}


def run(entry, *names):
    """The results of `entry` by their names; they are known from then on, too."""
    inputs = []
    for name in names:
        inputs.append(os.path.join(scratch.name, name + ".npy"))
        np.save(inputs[-1], np.asarray(known[name], np.float32))
    out = os.path.join(scratch.name, entry)
    os.makedirs(out, exist_ok=True)
    subprocess.run(["moe-run", args.artifact + ".json", "--entry=" + entry, "--inputs=" + ",".join(inputs),
                    "-o", out + "/"], check=True, stdout=subprocess.DEVNULL)
    return {file[:-4]: np.load(os.path.join(out, file)) for file in sorted(os.listdir(out))}


failures = 0


def same(what, tokens, a, b):
    global failures
    assert a.shape == b.shape and a.dtype == b.dtype and np.any(a), what
    different = int((a.view(np.int32) != b.view(np.int32)).sum())
    if different:
        failures += 1
        print("%s, %d tokens: %d of %d values differ" % (what, tokens, different, a.size))


for tokens in map(int, args.tokens.split(",")):
    known["x"] = rng.standard_normal((tokens, 96)).astype(np.float32)
    layer = ("router.weight", "up", "down")
    for whole, norm, weights in (("rms", "normed", ("norm",)), ("ln", "layer_normed", ("norm", "bias"))):
        known.update(run(norm, "x", *weights))
        apart = known["x"] + run("layer", "n", *layer)["y"]
        same(whole, tokens, apart, run(whole, "x", *weights, *layer)["y"])
    apart = {**run("chosen_1", "n", "router.weight"), **run("chosen_2", "n", "second.weight")}
    for name, together in run("chosen", "n", "router.weight", "second.weight").items():
        same(name, tokens, apart[name], together)
print("%d failures" % failures)
sys.exit(failures != 0)
