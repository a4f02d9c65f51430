"""Replays routings that nobody recorded, good and bad ones.

usage: edited.py EXAMPLES_FOLDER MODEL,... [TARGET [EMULATOR]]
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from replay import shrink

examples = sys.argv[1]
target = sys.argv[3] if len(sys.argv) > 3 else "native"
emulator = [f"--emulator={e}" for e in sys.argv[4:]]
emit = "--emit=lib,manifest" if emulator else "--emit=shared,manifest"
rng = np.random.default_rng(3)
TOKENS = 37


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def must(*command):
    result = run(*command)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def routings(E, K):
    """(what, indices) of routings that are allowed."""
    distinct = np.stack([rng.permutation(E)[:K] for _ in range(TOKENS)])
    yield "other experts", distinct
    one = np.full((TOKENS, K), -1)
    one[:, K - 1] = E - 1
    yield "all tokens to one expert", one
    none = distinct.copy()
    none[::3] = -1
    yield "tokens without experts", none
    yield "no experts at all", np.full((TOKENS, K), -1)


def bad_routings(E, K):
    """(what, indices) of routings that are not."""
    good = np.stack([rng.permutation(E)[:K] for _ in range(TOKENS)])
    for what, expert in (("-2", -2), ("E", E), ("INT_MIN", -2**31), ("INT_MAX", 2**31 - 1)):
        for token, slot in ((0, 0), (TOKENS - 1, K - 1)):
            bad = good.copy()
            bad[token, slot] = expert
            yield f"expert {what} for token {token}", bad
    for first, second in ((0, 1), (0, K - 1), (K // 2, K - 1)):
        if first < second < K:
            bad = good.copy()
            bad[TOKENS - 1, second] = bad[TOKENS - 1, first]
            yield f"one expert in slots {first} and {second}", bad


def check(name, folder):
    at = lambda file: os.path.join(folder, file)
    with open(os.path.join(examples, "models", name + ".json")) as file:
        small = shrink(json.load(file))
    with open(at("config.json"), "w") as out:
        json.dump(small, out)
    must("moe-import", at("config.json"), "-o", at("layer.mlir"))
    must("moe-compile", at("layer.mlir"), "-o", at("layer"), "--replay-routing", "--drop-router-arguments",
         f"--target={target}", emit)
    with open(at("layer.json")) as file:
        function = json.load(file)["functions"][0]
    arguments = {a["name"]: a for a in function["arguments"]}
    assert "router.weight" not in arguments and "router.bias" not in arguments, arguments
    K = arguments["routing.indices"]["shape"][1]
    text = small.get("text_config", small)
    E = text.get("num_local_experts") or text["num_experts"]

    def call(indices, weights, *options, kind=np.int32):
        np.save(at("routing.indices.npy"), indices.astype(kind))
        np.save(at("routing.weights.npy"), weights.astype(np.float32))
        return run("moe-run", at("layer.json"), f"--tokens={TOKENS}", "--random=1",
                   "--inputs=" + at("routing.indices.npy") + "," + at("routing.weights.npy"), *emulator, *options)

    weights = rng.uniform(0, 1, (TOKENS, K))
    verify = ["--verify", "--model=" + at("layer.mlir"), "--replay-routing", "--drop-router-arguments"]
    for what, indices in routings(E, K):
        result = call(indices, weights, *verify)
        if result.returncode:
            sys.exit(f"{name}, {what}: {result.stdout}{result.stderr}")
        print(f"{name}: {what}: as the interpreter")
    for what, indices in bad_routings(E, K):
        result = call(indices, weights)
        expected = (f"returned status 6 (bad routing): {function['name']}: argument 'routing.indices' sends a token to an "
                    f"expert outside of [-1, {E}), or twice to one")
        if result.returncode == 0 or expected not in result.stderr:
            sys.exit(f"{name}, {what}: {result.returncode} {result.stdout}{result.stderr}")
    print(f"{name}: bad experts: status 6")
    # What does not even fit the interface.
    good = next(routings(E, K))[1]
    for what, indices, w, kind, expected in (
            ("wrong K", np.hstack([good, good[:, :1]]), weights, np.int32,
             f"'routing.indices' is i32[{TOKENS}x{K + 1}] instead of i32[{TOKENS}x{K}]"),
            ("wrong T", good[:-1], weights, np.int32,
             f"size 'T' is {TOKENS} by the command line, but {TOKENS - 1} by tensor 'routing.indices'"),
            ("wrong T of weights", good, weights[:-1], np.int32,
             f"size 'T' is {TOKENS} by the command line, but {TOKENS - 1} by tensor 'routing.weights'"),
            ("wrong type", good, weights, np.int64,
             f"'routing.indices' is i64[{TOKENS}x{K}] instead of i32[{TOKENS}x{K}]")):
        result = call(indices, w, kind=kind)
        if result.returncode == 0 or expected not in result.stderr:
            sys.exit(f"{name}, {what}: {result.returncode} {result.stdout}{result.stderr}")
    np.save(at("x.npy"), np.zeros((TOKENS, 96), np.float32))
    result = run("moe-run", at("layer.json"), "--inputs=" + at("x.npy"), *emulator)
    if result.returncode == 0 or "'routing.indices' is missing" not in result.stderr:
        sys.exit(f"{name}, missing: {result.returncode} {result.stdout}{result.stderr}")
    print(f"{name}: misfits: errors")


for model in sys.argv[2].split(","):
    with tempfile.TemporaryDirectory() as folder:
        check(model, folder)
