"""Compiled routers whose tokens have any number of experts, against NumPy.

usage: ragged_routers.py TARGET POLICY [EMULATOR SAME_AS]

Models, scores and expected values are those of test/Reference's
gen_ragged_fixtures.py, at several numbers of experts and tokens: indices and
offsets have to be the same, weights as close as f32 is. One thread has to give
the bits of two, and the first tokens alone those they get among others, unless
tokens compete. Code for another architecture runs in EMULATOR and has to give the
bits of the target SAME_AS.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, *[os.pardir] * 3, "Reference")]
sys.dont_write_bytecode = True
import gen_fixtures
import gen_ragged_fixtures as fixtures

target, policy, emulator, same_as = (sys.argv[1:] + ["", ""])[:4]
# Around the lanes of every vector, and more slots than stay in registers.
device = ["--device=vulkan"] if target == "vulkan" else []
EXPERTS = (8, 21) if emulator or device else (1, 8, 16, 21, 40)
TOKENS = (0, 5, 37) if emulator or device else (0, 1, 5, 16, 37, 301)


def fail(*words):
    sys.exit(" ".join([policy, *map(str, words)]))


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        fail("failed:", *command, "\n" + result.stdout + result.stderr)


def read(path):
    """The tensors of a .safetensors file."""
    import json
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    kinds = {"F32": np.float32, "F64": np.float64, "I32": np.int32}
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def bits(a):
    """Those of NaN differ between architectures."""
    return np.where(np.isnan(a), np.float32(np.nan), a).tobytes() if a.dtype.kind == "f" else a.tobytes()


def compare(where, got, expected):
    for name, want in expected.items():
        have = got[name]
        if have.shape != want.shape:
            fail(where, name, "has shape", have.shape, "instead of", want.shape)
        if want.dtype.kind == "i":
            same = have == want
        else:
            want = want.astype(np.float32)
            same = (have == want) | (np.isnan(have) & np.isnan(want)) \
                | (np.abs(have - want) <= 2e-6 * np.maximum(1, np.abs(want)))
        if not same.all():
            at = tuple(int(i[0]) for i in np.nonzero(~same))
            fail(where, name, list(at), "is", have[at], "instead of", want[at])


def check(folder, experts):
    rng = np.random.default_rng(experts)
    fixtures.E = experts
    thresholds = rng.uniform(0.3, 0.7, experts).astype(np.float32)
    awkward = fixtures.AWKWARD_THRESHOLDS[:experts]
    thresholds[:len(awkward)] = awkward
    cases = fixtures.cases_of(thresholds.astype(np.float64))[policy]
    more = {"thresholds": thresholds} if policy == "top-any" else {}

    model = os.path.join(folder, "model.mlir")
    with open(model, "w") as f:
        f.write(fixtures.model(cases, bool(more)) + "\n")
    artifact, other = os.path.join(folder, "model"), os.path.join(folder, "other")
    emit = "--emit=lib,manifest" if emulator else "--emit=shared,manifest"
    run("moe-compile", model, "-o", artifact, f"--target={target}", emit)
    if same_as:
        run("moe-compile", model, "-o", other, f"--target={same_as}")

    def compute(scores, threads, artifact=artifact, emulator=emulator):
        gen_fixtures.HERE = folder
        gen_fixtures.save("in", {"scores": scores, **more}, 0)
        out = os.path.join(folder, "out.safetensors")
        run("moe-run", artifact + ".json", "--inputs=" + os.path.join(folder, "Inputs", "in.safetensors"),
            *(device or [f"--threads={threads}"]), "--output=" + out,
            *([f"--emulator={emulator}"] if emulator else []))
        return read(out)

    batches = {f"{t} tokens": fixtures.ordinary_rows(rng, policy, t) for t in TOKENS}
    batches["awkward tokens"] = fixtures.awkward_rows()
    for name, scores in batches.items():
        where = f"{experts} experts, {name}:"
        got = compute(scores, 2)
        compare(where, got, fixtures.expected(cases, scores))
        if same_as:
            same = compute(scores, 1, other, "")
            if any(bits(same[key]) != bits(got[key]) for key in got):
                fail(where, "other bits than", same_as)
            continue
        if device:
            continue
        one = compute(scores, 1)
        if any(one[key].tobytes() != got[key].tobytes() for key in got):
            fail(where, "one thread gives other bits")
        if policy == "expert-choice" or len(scores) < 8:
            continue
        first = compute(scores[:7], 2)
        for key in got:
            if "offsets" not in key and first[key].tobytes() != got[key][:7].tobytes():
                fail(where, "the first tokens alone give other bits in", key)


with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
    os.mkdir(os.path.join(folder, "Inputs"))
    for experts in EXPERTS:
        check(folder, experts)
print(f"{policy} on {target}: ok")
