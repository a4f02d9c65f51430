"""Compares what a layer gives before and after passes, bit by bit.

usage: same_bits.py [--tokens=N,...] [--seed=N] [--rows=KIND] [--bound=F] [--target=CHIP [--emulator=COMMAND]]
                    MODEL PASSES ENTRY...

Every entry runs as it is and behind PASSES, with the same arguments: those whose
first dimension is tokens are made here, the others by moe-run. Results have to
have the same bits, but for those of a NaN; with --bound to differ by at most F
times the largest result. With --rows=numbers some rows have ties, zeros,
denormals and large numbers, with --rows=any also an infinity or a NaN each. The
interpreter has to agree with what the passes made of the others, too.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--tokens", default="1,40")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--rows", choices=("usual", "numbers", "any"), default="usual")
parser.add_argument("--bound", type=float, default=0.0)
parser.add_argument("--target", default="native")
parser.add_argument("--emulator")
parser.add_argument("model")
parser.add_argument("passes")
parser.add_argument("entries", nargs="+")
args = parser.parse_args()


def signature(entry):
    """(name, columns or None, type) of the arguments that are tokens."""
    with open(args.model) as file:
        text = file.read()
    head = re.search(r"func\.func @%s\((.*?)\)\s*->" % entry, text, re.S).group(1)
    return [(name, columns and int(columns), kind) for columns, kind, name in re.findall(
        r'tensor<\?(?:x(\d+))?x(f32|i32)> \{moe\.name = "([\w.]+)"', head)]


def make(name, columns, kind, tokens, rng):
    shape = (tokens, columns) if columns else (tokens,)
    if kind == "i32":
        return rng.integers(0, 4, shape, dtype=np.int32)
    x = rng.standard_normal(shape).astype(np.float32)
    kinds = [lambda t: x[t], lambda t: 0 * x[t], lambda t: np.round(x[t]),
             lambda t: x[t] * np.float32(1e-42), lambda t: x[t] * np.float32(1e15)]
    if args.rows == "any":
        kinds += [lambda t: np.where(np.arange(columns) == t % columns, np.inf, x[t]),
                  lambda t: np.where(np.arange(columns) == t % columns, np.nan, x[t])]
    if args.rows != "usual" and columns:
        for t in range(tokens):
            x[t] = kinds[t % len(kinds)](t)
    return x


def build(folder):
    """Artifacts of all entries as they are and behind the passes."""
    paths = [os.path.join(folder, name) for name in ("before", "after")]
    model = os.path.join(folder, "after.mlir")
    subprocess.run(["moe-opt", args.model, "--pass-pipeline=builtin.module(inline,%s)" % args.passes,
                    "-o", model], check=True)
    for source, path in zip((args.model, model), paths):
        subprocess.run(["moe-compile", source, "-o", path, "--emit=lib,header,manifest,shared",
                        "--target=" + args.target], check=True, stdout=subprocess.DEVNULL)
    return paths


def run(artifact, entry, inputs, *options):
    out = os.path.join(os.path.dirname(artifact), "out.npy")
    emulated = ["--emulator=" + args.emulator] if args.emulator else []
    subprocess.run(["moe-run", artifact + ".json", *emulated, "--entry=" + entry, "--random=%d" % args.seed,
                    "--inputs=" + ",".join(inputs), "-o", out, *options],
                   check=True, stdout=subprocess.DEVNULL)
    return np.load(out)


failures = 0
scratch = tempfile.TemporaryDirectory()
paths = build(scratch.name)
for entry in args.entries:
    for tokens in map(int, args.tokens.split(",")):
        rng = np.random.default_rng(args.seed + tokens)
        inputs = []
        for name, columns, kind in signature(entry):
            inputs.append(os.path.join(scratch.name, name + ".npy"))
            np.save(inputs[-1], make(name, columns, kind, tokens, rng))
        before = run(paths[0], entry, inputs)
        verify = args.rows == "usual" and not args.bound and tokens
        after = run(paths[1], entry, inputs,
                    *(["--verify", "--model=" + args.model] if verify else []))
        nan = np.isnan(before)
        same = (before.view(np.int32) == after.view(np.int32)) | (nan & np.isnan(after))
        if args.bound and np.array_equal(nan, np.isnan(after)):
            limit = args.bound * np.nanmax(np.abs(before), initial=0)
            same = nan | (np.abs(before - after) <= limit)
        empty = tokens and not np.abs(np.nan_to_num(before)).any()
        if before.shape != after.shape or empty or not same.all():
            failures += 1
            print("%s, %d tokens: %d of %d results differ, in rows %s" %
                  (entry, tokens, (~same).sum(), same.size, np.unique(np.where(~same)[0])[:9]))
print("%d entries, %d failures" % (len(args.entries), failures))
sys.exit(failures != 0)
